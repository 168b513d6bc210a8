"""Opens the sound of video files, through the program ffmpeg.

libsndfile reads sound alone. Of a video ffmpeg writes the first track of sound,
mixed to one channel of 16 kHz, into a temporary file that is gone once it was
read.
"""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from mmer_jax.base.errors import UserError

RATE_HZ = 16000
# Compressed sound that libsndfile does not read comes through ffmpeg, too.
VIDEO_SUFFIXES = (
  *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv", ".mpg", ".mpeg"),
  *(".wmv", ".3gp", ".m4a", ".aac", ".wma"),
)


def is_video(path: pathlib.Path) -> bool:
  """Tells, by its name, whether a file needs ffmpeg."""
  return path.suffix.lower() in VIDEO_SUFFIXES


def ffmpeg(where: str) -> str:
  """Finds the program.

  Args:
    where: What needs it, for the message.

  Raises:
    UserError: It is not on PATH.
  """
  program = shutil.which("ffmpeg")
  if program is None:
    raise UserError(
      f"{where} needs the program ffmpeg to read sound from video, and PATH has"
      " none; install it (apt install ffmpeg, brew install ffmpeg or conda"
      " install ffmpeg), or give .wav files"
    )
  return program


def version(where: str) -> str:
  """Reads ffmpeg's first line about itself."""
  told = _run([ffmpeg(where), "-version"])
  lines = told.stdout.decode("utf-8", errors="replace").splitlines()
  return " ".join(lines[0].split()[:3]) if lines else "ffmpeg"


@contextlib.contextmanager
def sound_of(path: pathlib.Path, where: str) -> Iterator[pathlib.Path]:
  """Yields a file that libsndfile can read: the path, or a temporary wav.

  Args:
    path: A file of sound or of video.
    where: Who names it, for messages.

  Raises:
    UserError: There is no ffmpeg, or it cannot read the file.
  """
  if not is_video(path):
    yield path
    return
  program = ffmpeg(f"{where}: {path}")
  with tempfile.TemporaryDirectory(prefix="sound_") as folder:
    wav = pathlib.Path(folder) / "sound.wav"
    # An absolute path is neither an option nor a protocol to ffmpeg.
    done = _run(
      [
        *(program, "-nostdin", "-v", "error", "-y", "-i", str(path.absolute())),
        *("-vn", "-map", "0:a:0", "-ac", "1", "-ar", str(RATE_HZ)),
        *("-c:a", "pcm_s16le", "-f", "wav", str(wav)),
      ]
    )
    if done.returncode or not wav.is_file():
      said = done.stderr.decode("utf-8", errors="replace").strip()
      last = said.splitlines()[-1] if said else f"status {done.returncode}"
      raise UserError(
        f"{where}: ffmpeg cannot read sound from {path} ({last}); replace the"
        " file, or leave it out"
      )
    yield wav


def _run(command: list[str]) -> subprocess.CompletedProcess:
  try:
    return subprocess.run(
      command, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
  except OSError as error:
    raise UserError(f"{command[0]} cannot be started: {error}") from None
