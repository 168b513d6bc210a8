"""Checks utterances and encodes them, a chunk at a time, in any process."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from tensorflow_datasets.core import example_serializer, hashing
from tensorflow_datasets.proto import tf_example_pb2

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.writing import chunks, parts, spill, statistics
from data_prep.writing import examples as examples_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema


class Serializer:
  """Writes records as TFDS does, byte for byte.

  Keys are sorted: protobuf orders maps at random. Floats are copied as a whole
  where TFDS hands them over one by one, which takes longer than all the rest.
  """

  def __init__(self, corpus: corpus_lib.Corpus) -> None:
    """Takes the description of the records."""
    self._features = examples_lib.features(corpus)
    specs = self._features.get_serialized_info()
    self._floats = sorted(
      k for k, v in specs.items() if v.np_dtype == np.float32
    )
    rest = {k: v for k, v in specs.items() if k not in self._floats}
    self._rest = example_serializer.ExampleSerializer(rest)

  def __call__(self, record: dict[str, Any]) -> bytes:
    """Serialises a record as a `tf.train.Example`."""
    encoded = self._features.encode_example(record)
    example = tf_example_pb2.Example()
    example.CopyFrom(
      self._rest.get_tf_example(
        {k: v for k, v in encoded.items() if k not in self._floats}
      )
    )
    for name in self._floats:
      feature = example.features.feature[name]
      feature.float_list.MergeFromString(_packed(encoded[name]))
    return example.SerializeToString(deterministic=True)


def _packed(values: np.ndarray) -> bytes:
  """Encodes field 1 of a protobuf message: its length, the floats as they are.

  Source: protobuf's encoding, "Packed Repeated Fields".
  """
  content = np.ascontiguousarray(values, "<f4").tobytes()
  length, size = b"", len(content)
  while size > 0x7F:
    length += bytes([size & 0x7F | 0x80])
    size >>= 7
  return b"\x0a" + length + bytes([size]) + content if content else b""


class Preparer:
  """Turns chunks into parts; can be copied into other processes.

  Attributes:
    folder: Takes the parts.
  """

  def __init__(
    self,
    corpus: corpus_lib.Corpus,
    policy: nonfinite.Nonfinite,
    folder: parts.Folder,
    *,
    check: bool,
    encode: bool,
  ) -> None:
    """Takes what holds for all chunks.

    Args:
      corpus: Describes the examples, and makes them where it can.
      policy: Applied to each example where it is encoded.
      folder: Takes the parts.
      check: Whether examples are checked, non-finite values counted.
      encode: Whether they are encoded.
    """
    # A pass over the corpus stays in the process that began it.
    self._corpus = dataclasses.replace(
      corpus, examples=_no_pass, word_vectors={}, tally={}
    )
    self._policy = policy
    self.folder = folder
    self._check = check
    self._encode = encode
    self._serializer: Serializer | None = None

  def __getstate__(self) -> dict[str, Any]:
    """Leaves TFDS's objects out of a copy."""
    return {**self.__dict__, "_serializer": None}

  def __call__(self, chunk: chunks.Chunk) -> None:
    """Writes the part of a chunk, unless it is there already."""
    if chunk.ready:
      return
    rows, moments, records, error = [], [], [], ""
    policy = self._policy
    observed = nonfinite.Nonfinite(policy.policy, self._corpus.modalities)
    try:
      for example in self._examples(chunk):
        rows.append(statistics.Row.of(example))
        if self._check:
          examples_lib.check(self._corpus, example)
          observed.observe(example)
        if self._encode:
          record = self._record(example)
          rows[-1], moment = statistics.summarise(
            self._corpus, rows[-1], record
          )
          moments.append(moment)
          records.append((self._key(example.id), self._serialise(record)))
    except UserError as failure:
      # Not raised here: rows before it may share an id.
      error = str(failure)
    self.folder.save(chunk.number, rows, moments, observed, records, error)

  def _examples(self, chunk: chunks.Chunk) -> Iterable[corpus_lib.Example]:
    if chunk.examples is not None:
      return chunk.examples
    if chunk.spilled is not None:
      return spill.load(chunk.spilled)
    return map(self._corpus.make, chunk.rows)

  def _record(self, example: corpus_lib.Example) -> dict[str, Any]:
    ready = examples_lib.trim(self._corpus, self._policy.apply(example))
    return examples_lib.encode(self._corpus, ready)

  def _serialise(self, record: dict[str, Any]) -> bytes:
    if self._serializer is None:
      self._serializer = Serializer(self._corpus)
    return self._serializer(record)

  def _key(self, name: str) -> bytes:
    """Computes the place of an utterance in TFDS's order."""
    return hashing.Hasher(schema.TFDS_SPLIT).hash_key(name).to_bytes(16, "big")


def _no_pass() -> Any:
  raise AssertionError("a pass over a corpus is not for other processes")
