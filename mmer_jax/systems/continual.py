"""Stages that teach a trained model new emotions from few samples.

Source: Dai et al. 2020, section 4.2.
"""

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import PRNGKeyArray, Scalar

from mmer_jax.core import gem as gem_lib
from mmer_jax.data import few_shot, schema
from mmer_jax.systems import interface


def stages(
  config: ml_collections.ConfigDict, loss: interface.LossFn
) -> tuple[interface.Stage, ...]:
  """Makes a stage of source training, then one for each new emotion.

  Fine-tuning, joint training and GEM differ in the rows of a batch (see
  `experiment.build`) and GEM in the gradient as well.

  Args:
    config: A system's config; `config.few_shot.method` names the method.
    loss: The system's supervised loss.

  Returns:
    The stages of the system.
  """
  settings = config.few_shot
  source = interface.Stage("supervised", loss)
  if settings.method == "none" or not config.protocol.unseen:
    return (source,)
  gradient = None
  if settings.method == "gem":
    slots = few_shot.slots(config.training.batch_size, settings.memory)
    gradient = gem(loss, slots, margin=settings.margin, eps=settings.eps)
    loss = _logging(loss)
  return (
    source,
    *(
      interface.Stage(
        f"{settings.method}_{number}",
        loss,
        section="few_shot",
        rate=settings.rate,
        gradient=gradient,
        optimizer=settings.optimizer,
      )
      for number in range(1, 1 + len(config.protocol.unseen[0]))
    ),
  )


def gem(
  loss: interface.LossFn, slots: int, *, margin: float, eps: float
) -> interface.GradientFn:
  """Makes the gradient that does not raise the loss of any memory.

  Source: Lopez-Paz and Ranzato 2017, Eq. 11 and 12, as Dai et al. use it.
  Deviation: the projected gradient is clipped and goes through Adam, as any
  other here, so that the step itself is not the projected direction; under
  `config.few_shot.optimizer` `sgd` it is.

  Args:
    loss: The loss of a batch.
    slots: Rows of a group. The batch is the new samples' group and then one
      group for each task of the memory.
    margin: See `core.gem.project`.
    eps: See `core.gem.project`.

  Returns:
    A stage's gradient. The loss is the new samples'; the term `projected`
    tells whether a memory objected.
  """

  def gradient(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[tuple[Scalar, dict[str, Scalar]], interface.Params]:
    groups = jax.tree.map(
      lambda leaf: leaf.reshape(-1, slots, *leaf.shape[1:]), batch
    )
    count = groups.example_mask.shape[0]
    keys = None if key is None else jax.random.split(key, count)

    def one(
      group: schema.Batch, key: PRNGKeyArray | None
    ) -> tuple[tuple[Scalar, dict[str, Scalar]], interface.Params]:
      return jax.value_and_grad(loss, has_aux=True)(params, group, run, key)

    # All groups in one pass: the memory's gradients cost no pass of their own.
    (values, terms), grads = jax.vmap(one)(groups, keys)
    projected = gem_lib.project(
      jax.tree.map(lambda leaf: leaf[0], grads),
      jax.tree.map(lambda leaf: leaf[1:], grads),
      margin=margin,
      eps=eps,
    )
    terms = {name: value[0] for name, value in terms.items()}
    terms["projected"] = projected.violated.astype(values.dtype)
    return (values[0], terms), projected.gradient

  return gradient


def _logging(loss: interface.LossFn) -> interface.LossFn:
  """Adds the term that the gradient fills in; 0 in validation."""

  def logging(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    value, terms = loss(params, batch, run, key)
    return value, {**terms, "projected": jnp.zeros_like(value)}

  return logging
