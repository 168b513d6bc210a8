"""Says how the features of a corpus were made, so that more can be made.

An origin is `features_from` of `feature_spec.json`: what of a manifest tells
how a text, a recording or a row of a table became features. It holds

- `source` and `converter`: what converted the corpus, and its version;
- `text`: `tokeniser`, `oov`, and `word_vectors` (`file`, its name) or `encoder`
  (`name`, `layer`, `pooling`, `max_length`, `transformers`); None where lexical
  features are not of texts, or in words of the corpus's own files;
- `sound`: openSMILE's `set`, its version `opensmile`, `rate_hz` of the
  recordings and `rows` (`frames`, or `words`, their means); None where acoustic
  features are of something else;
- `table`: what the columns of the converted table mean, a `spec` without its
  labels, or `columns`, role to column;
- `dropped`: modality to the columns that were left out;
- `nonfinite`: what became of values that are not finite.
"""

from typing import Any

from mmer_jax.serving import files

# Their lexical rows are of words that the corpus's files cut, not a tokeniser.
_OWN_WORDS = ("pickle",)
_SPEC = ("name", "files", "id", "text", "features", "crop")
_ENCODER = ("name", "layer", "pooling", "max_length", "transformers")


def of_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
  """Returns the origin of the features of shards.

  Args:
    manifest: The manifest of the shards, of any version.
  """
  converter = manifest["converter"]
  options = converter.get("options") or {}
  return {
    "source": manifest.get("source"),
    "converter": converter.get("version"),
    "text": _text(manifest, options),
    "sound": _sound(manifest, options),
    "table": _table(options),
    "dropped": options.get("dropped") or {},
    "nonfinite": (manifest.get("nonfinite") or {}).get("policy", "error"),
  }


def can_hear(spec: dict[str, Any]) -> bool:
  """Tells whether a recording alone becomes the acoustic features of a model.

  It does not where the word of each frame must be known.

  Args:
    spec: The content of `feature_spec.json`.
  """
  sound = spec["features_from"]["sound"]
  aligned = spec["acoustic_word"]
  return bool(sound) and sound["rows"] == "frames" and not aligned


def _text(
  manifest: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any] | None:
  account = manifest.get("text")
  if not account or manifest.get("source") in _OWN_WORDS:
    return None
  described = {
    "tokeniser": account.get("tokeniser"),
    "oov": account.get("oov_policy"),
  }
  encoder = account.get("encoder")
  if encoder:
    return {**described, "encoder": {key: encoder[key] for key in _ENCODER}}
  return {**described, "word_vectors": {"file": options.get("word_vectors")}}


def _sound(
  manifest: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any] | None:
  if "acoustic" not in manifest["modalities"] or not options.get("opensmile"):
    return None
  return {
    "set": options["acoustic"],
    "opensmile": options["opensmile"],
    "rate_hz": options["rate_hz"],
    "rows": options.get("acoustic_rows", "frames"),
  }


def _table(options: dict[str, Any]) -> dict[str, Any]:
  spec = options.get("spec")
  if spec:
    return {"spec": {key: spec[key] for key in _SPEC if key in spec}}
  return {"columns": options.get("columns") or {}}


def describe(spec: dict[str, Any]) -> str:
  """Says for a model card what texts and recordings become features by.

  Args:
    spec: The content of `feature_spec.json`.
  """
  origin, known = spec["features_from"], spec["modalities"]
  lines = []
  if origin["text"] and "lexical" in known:
    lines.append(f"- Text: {_describe_text(spec, origin['text'])}")
  if can_hear(spec) and "acoustic" in known:
    sound = origin["sound"]
    lines.append(
      f"- Sound: openSMILE {sound['opensmile']}, set `{sound['set']}`, of"
      f" recordings of {sound['rate_hz']} Hz; needs the extra `prep`."
    )
  if not lines:
    return (
      "The features were there before the corpus was converted: nothing says"
      " how a text or a recording becomes them."
    )
  return "\n".join(
    [
      "`python -m mmer_jax.predict --model=DIR --text=... --wav=FILE` makes"
      " features as the training's conversion did:",
      "",
      *lines,
    ]
  )


def _describe_text(spec: dict[str, Any], text: dict[str, Any]) -> str:
  """Says by what text becomes features, and what of that is inside."""
  oov = {"skip": "are left out", "zero": "are rows of zeros"}
  start = (
    f"tokeniser `{text['tokeniser']}`; words without a vector"
    f" {oov.get(text['oov'], text['oov'])}; "
  )
  encoder = text.get("encoder")
  if encoder:
    return (
      f"{start}encoder `{encoder['name']}`, layer {encoder['layer']}, pooling"
      f" {encoder['pooling']}, windows of {encoder['max_length']} pieces. It is"
      " not inside; needs the extra `encoders`."
    )
  name = text["word_vectors"]["file"]
  if files.WORD_VECTORS in spec["files"]:
    return (
      f"{start}`{files.WORD_VECTORS}` holds the vectors of the words of the"
      f" training's texts and no others, from `{name}`, whose licence holds for"
      " them."
    )
  return (
    f"{start}their vectors are not inside: `--word_vectors=FILE`, the file"
    f" `{name}` of the training."
  )
