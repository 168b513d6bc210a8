"""Arrays of a request: one meaning, whatever holds them."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.base import errors
from tests.serving import fake

RNG = np.random.default_rng(0)
WORDS = RNG.normal(size=(5, 3)).astype(np.float32)
SOUND = np.arange(12.0, dtype=np.float32).reshape(3, 4)
# Two real frames of ones and four of padding: logits 2, 2 and 6, 2.
PADDED = np.zeros((1, 6, 3), np.float32)
PADDED[0, :2] = 1


class OnAnotherDevice:
  """An array that NumPy cannot read, as PyTorch's on a GPU."""

  def __array__(self, dtype=None, copy=None):
    raise TypeError("can't convert cuda:0 device type tensor\nto numpy")


@pytest.fixture
def model():
  return fake.make()


def predict(model, features, **arguments):
  return model.predict(features, check_scale=False, **arguments)


def refuse(model, features, match, **arguments):
  with pytest.raises(errors.UserError, match=match) as caught:
    predict(model, features, **arguments)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "convert",
  [
    jnp.asarray,
    np.ndarray.tolist,
    lambda x: x.astype(np.float64),
    lambda x: x.astype(">f4"),
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    lambda x: x[..., ::-1].copy()[..., ::-1],
    lambda x: np.ma.masked_invalid(x),
    lambda x: tuple(map(tuple, x.tolist())) if x.ndim == 2 else x,
  ],
)
@pytest.mark.parametrize("shape", ["utterance", "batch"])
def test_every_kind_of_array_means_what_the_numpy_array_means(
  model, convert, shape
):
  given = WORDS if shape == "utterance" else np.stack([WORDS, -WORDS])
  expected = predict(model, {"lexical": given})
  found = predict(model, {"lexical": convert(given)})
  np.testing.assert_array_equal(found.probs, expected.probs)
  assert found.chosen == expected.chosen
  assert found.probs.shape == ((3,) if shape == "utterance" else (2, 3))


def test_narrow_types_and_whole_numbers_are_numbers(model):
  whole = np.array([[1, 0, 0], [2, 0, 0]])
  for dtype in (np.float16, np.int8, np.uint64, ">i4", jnp.bfloat16, bool):
    given = whole.astype(dtype)
    probs = predict(model, {"lexical": given}).probs
    expected = fake.probs(whole.astype(bool) if dtype is bool else whole)
    np.testing.assert_allclose(probs, expected, rtol=1e-6)


def test_torch_on_the_cpu_means_what_the_numpy_array_means(model):
  torch = pytest.importorskip("torch")
  tensor = torch.tensor(WORDS)
  for given in (tensor, [tensor, tensor[:2]], tensor[None]):
    plain = [x.numpy() for x in given] if isinstance(given, list) else given
    np.testing.assert_array_equal(
      predict(model, {"lexical": given}).probs,
      predict(model, {"lexical": plain}).probs,
    )


def test_zeros_at_the_end_are_frames_unless_lengths_or_a_mask_say_so(model):
  for given in (PADDED, jnp.asarray(PADDED), PADDED.tolist()):
    probs = predict(model, {"lexical": given}).probs
    np.testing.assert_allclose(probs, [fake.softmax(np.array([6.0, 2, 0]))])
    for padding in (
      {"lengths": {"lexical": [2]}},
      {"lengths": {"lexical": np.array([2], np.uint8)}},
      {"mask": {"lexical": np.arange(6)[None] < 2}},
      {"mask": {"lexical": [[1, 1, 0, 0, 0, 0]]}},
    ):
      probs = predict(model, {"lexical": given}, **padding).probs
      np.testing.assert_allclose(
        probs, [fake.softmax(np.array([2.0, 2, 0]))], rtol=1e-6
      )
  one = predict(model, {"lexical": PADDED[0]}, lengths={"lexical": 2})
  np.testing.assert_allclose(one.probs, fake.softmax(np.array([2.0, 2, 0])))
  # What is padding is not looked at, at the left neither.
  left = np.full((1, 4, 3), np.nan)
  left[0, 2:] = 1
  found = predict(
    model, {"lexical": left}, mask={"lexical": ~np.isnan(left[..., 0])}
  )
  np.testing.assert_allclose(found.probs, [fake.probs(np.ones((2, 3)))])
  assert len(found.explain["frame"][0]) == 2
  # A length of 0 is an absent modality.
  absent = predict(model, {"acoustic": SOUND}, lengths={"acoustic": [1, 0, 1]})
  np.testing.assert_allclose(absent.probs[1], [1 / 3] * 3)


@pytest.mark.parametrize(
  "padding, match",
  [
    ({"lengths": {"lexical": [7]}}, "length 7, expected 0 to its 6 frames"),
    ({"lengths": {"lexical": [-1]}}, "length -1, expected 0 to"),
    ({"lengths": {"lexical": [1, 2]}}, "2 entries, expected one for each of"),
    ({"lengths": {"lexical": 2}}, r"has shape \(\), expected 1 axis"),
    ({"lengths": {"lexical": [1.5]}}, "holds float64, expected whole"),
    ({"lengths": {"acoustic": [1]}}, "'acoustic', which features lacks"),
    ({"mask": {"lexical": np.ones((1, 5))}}, r"6 frames, and its mask"),
    ({"mask": {"lexical": np.full((1, 6), 2)}}, "other values than True"),
    ({"mask": {"lexical": True}}, "is one value"),
    ({"mask": [[1]]}, "mask is a list, expected a dictionary"),
    (
      {"mask": {"lexical": np.ones((1, 6))}, "lengths": {"lexical": [1]}},
      "has lengths and a mask",
    ),
  ],
)
def test_padding_that_does_not_fit_is_named(model, padding, match):
  refuse(model, {"lexical": PADDED}, match, **padding)


def test_a_mask_does_not_move_aligned_frames(model):
  aligned = fake.make(
    aligned=True,
    modalities={
      name: {**entry, "max_length": 8}
      for name, entry in model.spec["modalities"].items()
    },
  )
  both = {"lexical": np.ones((1, 3, 3)), "acoustic": np.ones((1, 3, 4))}
  left = np.array([[False, True, True]])
  same = predict(aligned, both, mask={"lexical": left, "acoustic": left})
  np.testing.assert_allclose(
    same.probs, [fake.softmax(np.array([2.0, 2, 2]))], rtol=1e-6
  )
  refuse(
    aligned, both, "expected the same mask for all", mask={"lexical": left}
  )


def test_functionals_are_an_utterance_a_row(model):
  """Column 0 of SOUND is 0, 4, 8: the third logit."""
  expected = [fake.softmax(np.array([0.0, 0, x])) for x in (0, 4, 8)]
  for given in (SOUND, list(SOUND), SOUND[:, None], [x[None] for x in SOUND]):
    found = predict(model, {"acoustic": given})
    np.testing.assert_allclose(found.probs, expected, rtol=1e-6)
  assert predict(model, {"acoustic": SOUND[:1]}).probs.shape == (1, 3)
  assert predict(model, {"acoustic": SOUND[0]}).probs.shape == (3,)
  mixed = predict(model, {"lexical": np.stack([WORDS] * 3), "acoustic": SOUND})
  np.testing.assert_allclose(
    mixed.probs, [fake.probs(WORDS, x) for x in SOUND], rtol=1e-5
  )
  # One utterance of frames and a functional, in both ways to write it.
  for sound in (SOUND[1], SOUND[1:2]):
    one = predict(model, {"lexical": WORDS, "acoustic": sound})
    np.testing.assert_allclose(
      one.probs, fake.probs(WORDS, SOUND[1]), rtol=1e-5
    )


@pytest.mark.parametrize(
  "features, match",
  [
    (
      {"lexical": WORDS, "acoustic": SOUND},
      r"lexical may be meant as 5 utterances of one frame each: give these as"
      r" \(5, 1, 3\); acoustic may be meant as one utterance of 3 frames",
    ),
    (
      {"lexical": WORDS[:3], "acoustic": SOUND[:, None]},
      "lexical may be meant as 3 utterances of one frame each",
    ),
    (
      {"lexical": WORDS[None], "acoustic": SOUND},
      "different numbers of utterances, got lexical 1, acoustic 3",
    ),
    ({"lexical": [WORDS, None], "acoustic": SOUND[0]}, "mix one utterance"),
  ],
)
def test_what_is_ambiguous_is_refused_with_both_readings(
  model, features, match
):
  refuse(model, features, match)


@pytest.mark.parametrize(
  "features",
  [
    {"lexical": np.zeros((0, 5, 3))},
    {"lexical": []},
    {"acoustic": np.zeros((0, 4))},
    {"lexical": [], "acoustic": np.zeros((0, 1, 4), np.float16)},
    {"lexical": jnp.zeros((0, 0, 3)), "acoustic": None},
  ],
)
@pytest.mark.parametrize("check_scale", [False, True])
def test_an_empty_batch_has_empty_results(model, features, check_scale):
  found = model.predict(features, check_scale=check_scale)
  assert found.probs.shape == (0, 3) and found.chosen == []
  assert found.per_modality["lexical"].shape == (0, 3)
  assert found.explain == {"frame": []}


@pytest.mark.parametrize(
  "given, match",
  [
    (WORDS + 0j, "complex64, expected an array"),
    (WORDS.astype(str), "holds no numbers but <U"),
    (WORDS.astype(object), "holds no numbers but object"),
    (np.zeros((2, 3), "M8[s]"), "holds no numbers but datetime64"),
    (np.zeros((2, 3), "m8[s]"), "holds no numbers but timedelta64"),
    (np.zeros(2, [("x", "f4")]), "holds no numbers"),
    ("abc", "holds no numbers"),
    (b"abc", "holds no numbers"),
    ({"x": 1}, "holds no numbers"),
    ((x for x in WORDS), "holds no numbers but object"),
    ([["1", "2", "3"]], "holds no numbers"),
    ([[1, None, 2]], "holds no numbers"),
    ([[10**400, 0, 0]], "holds no numbers"),
    ([[1, 2, 3], [4, 5]], r"utterance 1 has shape \(1?,? ?2,?\), expected"),
    (np.ma.masked_equal(WORDS, WORDS[0, 0]), "is a masked array"),
    (OnAnotherDevice(), "cannot be read as a NumPy array .can't convert"),
    ([OnAnotherDevice()], "cannot be read as a NumPy array .can't convert"),
    (np.float32(1), r"has shape \(\), expected"),
    (np.zeros((2, 2, 2, 3)), r"expected \(t, 3\)"),
    (np.zeros((0, 5, 7)), r"has shape \(0, 5, 7\), expected \(t, 3\)"),
    (WORDS * np.float64(1e300), "not finite in frame 0, column c0 .inf in"),
    ([WORDS, WORDS * np.nan], "lexical of utterance 1 is not finite in frame"),
  ],
)
def test_what_is_no_number_is_refused_in_one_line(model, given, match):
  refuse(model, {"lexical": given}, match)


def test_arguments_of_other_kinds_are_refused_in_one_line(model):
  refuse(model, [WORDS], "features is a list, expected a dictionary")
  refuse(model, {"lexical": WORDS}, "the text 'lexical'", modalities="lexical")
  refuse(model, {"lexical": None}, "holds no modality")


def test_the_words_of_frames_are_whole_numbers_of_the_frames():
  model = fake.make(acoustic_word=True)
  both = {"lexical": WORDS, "acoustic": SOUND[:1]}
  predict(model, both, acoustic_word=[4])
  refuse(model, both, "to 5, expected -1 or one of its 5", acoustic_word=[5])
  refuse(model, both, "from -2 to", acoustic_word=[-2])
  refuse(model, both, "holds float64, expected whole", acoustic_word=[0.5])
  refuse(model, both, "one for each of the", acoustic_word=[0, 1])
  refuse(model, both, "axis of whole numbers", acoustic_word=3)
