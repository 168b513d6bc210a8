"""Sets of openSMILE's features, and parts of recordings."""

import pickle

import numpy as np
import pytest
import soundfile

from data_prep.readers import sound as sound_lib
from mmer_jax.base import errors

RATE = 16000


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
  """A tone that rises from 150 Hz to 250 Hz in a second."""
  time = np.arange(RATE) / RATE
  pitch = 150 + 100 * time
  samples = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE)) * 0.3
  path = tmp_path_factory.mktemp("sound") / "tone.wav"
  soundfile.write(path, samples.astype(np.float32), RATE, subtype="FLOAT")
  return path


@pytest.mark.parametrize(
  "name, dim, frames",
  # A second has 100 hops; the last windows of 60 ms do not fit.
  [("is09", 384, 1), ("egemaps", 88, 1), ("egemaps_lld", 25, 96)],
)
def test_sets_have_the_features_that_they_name(wav, name, dim, frames):
  sound = sound_lib.Sound(name)
  entry = sound_lib.ACOUSTIC[name]
  assert sound.frame_rate_hz == entry.frame_rate_hz
  assert (entry.frame_rate_hz is None) == (frames == 1)
  assert len(set(sound.columns)) == entry.dim == dim
  got = sound(sound_lib.Recording(0, "line 1", wav))
  assert got.shape == (frames, dim) and got.dtype == np.float32
  assert np.isfinite(got).all()


def test_egemaps_hears_the_pitch_that_rises(wav):
  sound = sound_lib.Sound("egemaps_lld")
  frames = sound(sound_lib.Recording(0, "line 1", wav))
  semitones = frames[:, sound.columns.index("F0semitoneFrom27.5Hz_sma3nz")]
  # The window of 60 ms of frame i begins at 10 i ms.
  middle = 0.01 * np.arange(len(frames)) + 0.03
  expected = 12 * np.log2((150 + 100 * middle) / 27.5)
  np.testing.assert_allclose(semitones[10:-10], expected[10:-10], atol=0.3)


def test_a_part_of_a_recording_is_that_part(wav, tmp_path):
  samples, _ = soundfile.read(wav, dtype="float32")
  cut = tmp_path / "cut.wav"
  soundfile.write(cut, samples[4000:12000], RATE, subtype="FLOAT")
  sound = sound_lib.Sound("egemaps_lld")
  part = sound(sound_lib.Recording(0, "line 1", wav, 0.25, 0.75))
  whole = sound(sound_lib.Recording(1, "line 2", cut))
  np.testing.assert_array_equal(part, whole)
  assert part.shape[0] == 46
  with pytest.raises(errors.UserError, match="line 3: .* is empty"):
    sound(sound_lib.Recording(2, "line 3", wav, 1.5, 2.0))


def test_a_copy_reads_what_was_extracted(wav):
  sound = sound_lib.Sound("egemaps_lld")
  recording = sound_lib.Recording(0, "line 1", wav)
  assert sound.rate(recording) == RATE
  frames = sound(recording)
  copy = pickle.loads(pickle.dumps(sound))
  gone = sound_lib.Recording(0, "line 1", wav.with_name("gone.wav"))
  np.testing.assert_array_equal(copy(gone), frames)
  # A copy extracts, too, and knows the rate that all need.
  again = copy(sound_lib.Recording(1, "line 2", wav))
  np.testing.assert_array_equal(again, frames)
  other = wav.with_name("other.wav")
  soundfile.write(other, np.zeros(8000, np.float32), 8000)
  with pytest.raises(errors.UserError, match="8000 Hz, .* 16000 Hz"):
    copy(sound_lib.Recording(2, "line 3", other))
