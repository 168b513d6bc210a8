"""Sound of videos, with an ffmpeg that the tests write themselves."""

import os
import tempfile

import numpy as np
import pytest
import soundfile

from data_prep.readers import media, sound
from mmer_jax.base.errors import UserError

# Copies what lies behind the first line of the "video" to where the sound goes.
FFMPEG = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
[ "$1" = -version ] && { echo "ffmpeg version 7.1 Copyright"; exit 0; }
while [ "$1" != -i ]; do shift; done
video="$2"
for last; do :; done
head -c 6 "$video" | grep -q video || { echo "a"; echo "moov atom not found" >&2
  exit 1; }
tail -c +7 "$video" > "$last"
"""


def put_ffmpeg(folder, monkeypatch, script=FFMPEG):
  """Puts a program ffmpeg on PATH; returns the file of its calls."""
  folder.mkdir(exist_ok=True)
  program = folder / "ffmpeg"
  program.write_text(script)
  program.chmod(0o755)
  monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
  return folder / "calls"


def write_video(path, samples, rate=media.RATE_HZ):
  """Writes what the ffmpeg of the tests takes for a video."""
  path.parent.mkdir(parents=True, exist_ok=True)
  wav = path.with_suffix(".part")
  soundfile.write(wav, samples, rate, format="WAV")
  path.write_bytes(b"video\n" + wav.read_bytes())
  wav.unlink()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
  """The folder of temporary files, alone for one test."""
  folder = tmp_path / "temporary"
  folder.mkdir()
  monkeypatch.setattr(tempfile, "tempdir", str(folder))
  return folder


def test_sound_of_a_video_is_read_and_nothing_is_left(
  tmp_path, monkeypatch, temporary
):
  calls = put_ffmpeg(tmp_path / "bin", monkeypatch)
  samples = np.random.default_rng(0).normal(size=4000) / 9
  # A name that a shell would take apart.
  video = tmp_path / "a; touch broken $(b)" / "-i 'c'.MP4"
  write_video(video, samples)
  with media.sound_of(video, "list line 2") as wav:
    assert wav.parent.parent == temporary
    read, rate = soundfile.read(wav)
  np.testing.assert_allclose(read, samples, atol=1e-4)
  assert rate == 16000 and list(temporary.iterdir()) == []
  assert "-vn -map 0:a:0 -ac 1 -ar 16000" in calls.read_text()
  assert media.version("x") == "ffmpeg version 7.1"
  # Sound is opened where it lies.
  with media.sound_of(tmp_path / "a.wav", "") as wav:
    assert wav == tmp_path / "a.wav"
  assert len(calls.read_text().splitlines()) == 2


def test_features_of_a_video_are_those_of_its_sound(tmp_path, monkeypatch):
  put_ffmpeg(tmp_path / "bin", monkeypatch)
  samples = np.random.default_rng(0).normal(size=4000) / 9
  write_video(tmp_path / "a.mp4", samples)
  soundfile.write(tmp_path / "a.wav", samples, 16000)
  extract = sound.Sound("egemaps")
  one, two = (
    extract(sound.Recording(number, "list", tmp_path / name))
    for number, name in enumerate(("a.mp4", "a.wav"))
  )
  np.testing.assert_array_equal(one, two)


def test_a_video_that_is_none_is_named(tmp_path, monkeypatch, temporary):
  put_ffmpeg(tmp_path / "bin", monkeypatch)
  video = tmp_path / "a.mp4"
  video.write_bytes(b"nothing")
  match = r"list line 2: ffmpeg cannot .*a.mp4 \(moov atom not found\); repl"
  with (
    pytest.raises(UserError, match=match),
    media.sound_of(video, "list line 2"),
  ):
    pass
  assert list(temporary.iterdir()) == []
  # One that says nothing, and one that writes nothing.
  for script, said in (("#!/bin/sh\nexit 3", "status 3"), ("#!/bin/sh", "st")):
    put_ffmpeg(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(UserError, match=said), media.sound_of(video, "x"):
      pass
  put_ffmpeg(tmp_path / "bin", monkeypatch, "#!/no/such/shell")
  with pytest.raises(UserError, match="cannot be started"):
    media.version("x")


def test_without_ffmpeg_one_line_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  with (
    pytest.raises(UserError, match="list: .*a.mp4 needs .*apt install ffmpeg"),
    media.sound_of(tmp_path / "a.mp4", "list"),
  ):
    pass


def test_a_sound_without_a_frame_is_too_short(tmp_path):
  extract = sound.Sound("egemaps")
  for number, count in enumerate((0, 1599)):
    soundfile.write(tmp_path / "a.wav", np.zeros(count), 16000)
    with pytest.raises(
      sound.TooShort, match=r"a\.wav (is empty|lasts 99.9 ms)"
    ):
      extract(sound.Recording(number, "list", tmp_path / "a.wav"))
