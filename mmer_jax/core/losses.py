"""Losses, one value per example."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def binary_cross_entropy(
  logits: Float[Array, "b k"],
  labels: Float[Array, "b k"],
  pos_weight: Float[Array, "b k"],
  known: Bool[Array, "b k"],
) -> Float[Array, " b"]:
  """Computes binary cross-entropy, averaged over the known emotions.

  Source: Dai et al. 2020's published code, `BCEWithLogitsLoss(pos_weight)`.
  Deviation: none.

  Args:
    logits: Before the sigmoid, any real value.
    labels: 1 where the emotion is present.
    pos_weight: What a positive counts for against a negative.
    known: Which labels mean anything; a row with none is 0.

  Returns:
    One value per utterance.
  """
  positive = pos_weight * labels * jax.nn.log_sigmoid(logits)
  negative = (1 - labels) * jax.nn.log_sigmoid(-logits)
  total = jnp.sum(jnp.where(known, positive + negative, 0.0), axis=-1)
  count = jnp.maximum(jnp.sum(known, axis=-1), 1)
  return -total / count.astype(logits.dtype)


def cross_entropy(
  logits: Float[Array, "b k"],
  labels: Float[Array, "b k"],
  class_weight: Float[Array, "b k"],
) -> Float[Array, " b"]:
  """Computes cross-entropy of a softmax, weighted by the true class.

  The mean over a batch divides by its examples, not by their weights, so that
  the mean over batches is the mean over examples.

  Args:
    logits: Before the softmax.
    labels: One-hot; a row of zeros contributes 0.
    class_weight: What an example of each class counts for.

  Returns:
    One value per utterance.
  """
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  return -jnp.sum(class_weight * labels * log_probs, axis=-1)


def distillation(
  teacher_logits: Float[Array, "b k"],
  student_logits: Float[Array, "b k"],
  temperature: float,
) -> Float[Array, " b"]:
  """Computes the KL divergence of the student from the teacher.

  Source: Aguilar et al. 2019, Eq. 5, after Li et al. 2014.
  Deviation: Eq. 5 has the sign of a negative divergence; minimised is
    KL(teacher || student). The temperature is ours (1 is the paper), and the
    value is times its square, so that gradients keep their size (Hinton et al.
    2015).

  Args:
    teacher_logits: Before the softmax; a constant, no gradient flows into it.
    student_logits: Before the softmax.
    temperature: Both logits are divided by it.

  Returns:
    One value per utterance, 0 at least.
  """
  teacher = jax.nn.log_softmax(
    jax.lax.stop_gradient(teacher_logits) / temperature, axis=-1
  )
  student = jax.nn.log_softmax(student_logits / temperature, axis=-1)
  divergence = jnp.sum(jnp.exp(teacher) * (teacher - student), axis=-1)
  return temperature**2 * divergence


def absolute_error(
  values: Float[Array, "b k"], ratings: Float[Array, "b k"]
) -> Float[Array, " b"]:
  """Computes the absolute error, averaged over the targets.

  Source: github.com/thuiar/MMSA, whose models train by `L1Loss`.
  Deviation: none.

  Args:
    values: What is predicted.
    ratings: What is right.

  Returns:
    One value per utterance.
  """
  return jnp.mean(jnp.abs(values - ratings), axis=-1)


def squared_error(
  values: Float[Array, "b k"], ratings: Float[Array, "b k"]
) -> Float[Array, " b"]:
  """Computes the squared error, averaged over the targets.

  Args:
    values: What is predicted.
    ratings: What is right.

  Returns:
    One value per utterance.
  """
  return jnp.mean(jnp.square(values - ratings), axis=-1)
