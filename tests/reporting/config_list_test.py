"""What the list of configs says of each variant."""

import pytest

from mmer_jax.base import shipped
from mmer_jax.reporting import config_list


@pytest.fixture(scope="module")
def variants():
  return {
    f"{entry.name}:{variant.name}": variant
    for entry in config_list.entries()
    for variant in entry.variants
  }


def test_every_config_and_variant_is_listed(variants):
  names = {name.partition(":")[0] for name in variants}
  assert names == set(shipped.names("config"))
  assert {"mtee/mosei:readme", "m3er/ablation:youtube"} <= set(variants)


@pytest.mark.parametrize(
  ("name", "corpus"),
  [
    ("mtee/mosei:full", "CMU-MOSEI"),
    ("mtee/iemocap:full", "IEMOCAP"),
    ("mtee/iemocap:utterances", "IEMOCAP's utterance file"),
    ("dae_mmd/ablation:full", "IEMOCAP"),
    ("dae_mmd/meld:semi", "MELD"),
    ("m3er/mfn:full", "CMU-MOSEI"),
    ("multiview/taught:full", "IEMOCAP"),
    ("mtee/few_shot_mosei:synthetic", "synthetic"),
    ("own/mtee:full", "any"),
    ("quickstart:full", "synthetic"),
  ],
)
def test_a_variant_says_what_it_is_trained_on(variants, name, corpus):
  assert variants[name].corpus == corpus


@pytest.mark.parametrize(
  ("name", "runs", "programs"),
  [
    # Seeds x folds x swept values x left-out emotions, by hand.
    ("mtee/iemocap:utterances", 3 * 5, 0),
    ("quickstart:full", 2 * 3, 0),
    ("dae_mmd/semi:quantity", 3 * 5 * 5, 1),
    ("mtee/few_shot_mosei:synthetic", 5 * 6, 8),
    ("own/mtee:full", None, 0),
  ],
)
def test_a_variant_says_what_it_costs(variants, name, runs, programs):
  assert (variants[name].runs, variants[name].programs) == (runs, programs)


def test_what_was_measured_is_of_a_variant_that_there_is(variants):
  assert set(config_list._MEASURED) <= set(variants)
  assert variants["mtee/iemocap:utterances"].measured == "27 min"
