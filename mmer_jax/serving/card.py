"""Writes the model card of an export: what it is, how good, what for."""

import json
from typing import Any

from mmer_jax.evaluation import metric_names, statistics, tables
from mmer_jax.experiment import records
from mmer_jax.serving import files, origin

# What the front matter's `model-index` lists.
_INDEXED = (
  "accuracy",
  "unweighted_accuracy",
  "weighted_accuracy",
  "f1",
  "weighted_f1",
  "auc",
)

_LIMITS = """\
- **For** research on emotion recognition, and for tools whose users know that
  they are analysed and can say no. A prediction is a guess at how people who
  annotated a corpus would have labelled an utterance; it is not what somebody
  feels.
- **Not for** decisions about people (hiring, school, credit, insurance, police,
  borders, health), nor for watching them. The European Union's AI Act forbids
  inferring emotions at work and in education, but for medical or safety
  reasons.
- How people express and label emotions differs between cultures, languages,
  ages and situations. Nothing here was measured on other speakers, recording
  conditions or languages than the corpus has: measure on your own labelled data
  before any use.
- Probabilities are not calibrated. Features must come from the converter of the
  training, column by column; feature_spec.json names them."""

_LOADING = """\
The StableHLO is loaded as code: trust its source as you would a program's. It
is guaranteed to load for six months; `python -m mmer_jax.export --refresh
--out=DIR` writes it anew. With jax, numpy, flatbuffers and safetensors alone:

```python
import jax
import numpy as np
from safetensors.numpy import load_file

with open("model.stablehlo", "rb") as file:
  model = jax.export.deserialize(bytearray(file.read()))
tensors = load_file("model.safetensors")
inputs = {{
  # One utterance here; features are not normalised. False in the mask is
  # padding, all of it False an absent modality.
  "features": {{{features}}},
  "mask": {{{masks}}},{more}
}}
outputs = jax.jit(model.call)(tensors, inputs)
outputs["{answers}"]  # (b, k), in the order of feature_spec.json's emotions
```

With mmer_jax: `mmer_jax.load(DIR).predict({{...}})`, or `python -m
mmer_jax.predict`."""


def model_card(
  spec: dict[str, Any], tensors: dict[str, Any], workdir_files: dict[str, Any]
) -> str:
  """Writes the page, as Markdown with the front matter of a model hub.

  Args:
    spec: The content of `feature_spec.json`.
    tensors: The content of `model.safetensors`.
    workdir_files: What the workdir holds: `run` (run.json), `validation`
      and `test` (results; None where the test split was not evaluated).
  """
  result = workdir_files["test"] or workdir_files["validation"]
  runs = [r for r in result["runs"] if r["setting"] == result["setting"]]
  title = f"{spec['system']} on {spec['dataset']['name']}"
  parts = [
    _front_matter(spec, result, title),
    f"# {title}",
    (
      f"Multimodal emotion recognition with mmer_jax: {_modalities(spec)} to"
      f" {_emotions(spec)}."
    ),
    _members(spec, runs),
    "## Results",
    _protocol(result, runs),
    tables.markdown_table(*_overall(result)),
    "Per rating:" if spec["decision"] == "regression" else "Per emotion:",
    tables.markdown_table(*_per_emotion(result, runs)),
    _decisions(spec, result),
    "## Data",
    _data(spec, workdir_files["run"]),
    "## Text and sound",
    origin.describe(spec),
    "## Intended use and limits",
    _LIMITS,
    "## Files",
    tables.markdown_table(*_files(spec)),
    _loading(spec),
    "## Tensors",
    _tensor_names(spec),
    tables.markdown_table(
      ["name", "shape"],
      [
        [f"`{name}`", " x ".join(map(str, leaf.shape)) or "scalar"]
        for name, leaf in sorted(tensors.items())
      ],
    ),
  ]
  return "\n\n".join(parts) + "\n"


def _members(spec: dict[str, Any], runs: list[dict[str, Any]]) -> str:
  """Says which runs the model is, and which the numbers are of."""
  members = spec["members"]
  if spec["ensemble"]:
    return (
      f"The mean of the {_answers(spec)} of {len(members)} runs, all folds"
      " and seeds of the best setting. The numbers below are of single runs:"
      " every utterance of the corpus was trained on by some member, so that"
      " none is left to judge the mean by."
    )
  (member,) = members
  swept = records.show(member["setting"])
  return (
    f"Run {member['run']} (seed {member['seed']}, fold {member['fold']}"
    f"{', ' + swept if swept else ''}) of {len(runs)}. The numbers below are"
    " of all runs of its setting, which say more than the luck of one."
  )


def _answers(spec: dict[str, Any]) -> str:
  """Names what the model gives."""
  return "values" if spec["decision"] == "regression" else "probabilities"


def _loading(spec: dict[str, Any]) -> str:
  """Shows how the files are loaded without this project."""

  def each(text: str) -> str:
    return ", ".join(
      text.format(name=name, length=min(e["max_length"], 7), dim=e["dim"])
      for name, e in spec["modalities"].items()
    )

  more = ""
  if spec["open_vocabulary"]:
    width = len(spec["emotions"][0]["vector"])
    more += (
      "\n  # Word vectors: rows may be left out, or be of new emotions.\n"
      f'  "emotions": np.zeros(({len(spec["emotions"])}, {width}), np.float32),'
    )
  if spec["acoustic_word"]:
    length = min(spec["modalities"]["acoustic"]["max_length"], 7)
    more += (
      "\n  # The lexical frame of each acoustic one, -1 for none.\n"
      f'  "acoustic_word": np.full((1, {length}), -1, np.int32),'
    )
  return _LOADING.format(
    answers="values" if spec["decision"] == "regression" else "probs",
    features=each('"{name}": np.zeros((1, {length}, {dim}), np.float32)'),
    masks=each('"{name}": np.ones((1, {length}), bool)'),
    more=more,
  )


def _tensor_names(spec: dict[str, Any]) -> str:
  """Says what the tensors' names mean."""
  axis = f" The first axis is the {len(spec['members'])} members."
  return (
    "`params.` is the path of a parameter in the Flax module; `mean.` and"
    " `scale.` (1 / deviation) normalise a modality's columns, float32."
    + (
      " Outputs times `rating_scale` plus `rating_mean` are ratings."
      if spec["decision"] == "regression"
      else ""
    )
    + (axis if spec["ensemble"] else "")
  )


def _files(spec: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """Lists the files, as the header and the rows of a table."""
  return ["file", "what"], [
    [
      "`model.stablehlo`",
      f"the function, for {', '.join(spec['platforms'])}, as `jax.export`"
      " serialises it; batch and time are symbolic",
    ],
    ["`model.safetensors`", "its tensors, see below"],
    [
      "`feature_spec.json`",
      "modalities, columns, statistics, lengths, emotions, vectors, thresholds",
    ],
    ["`config.json`", "the config that it was trained with"],
    *(
      [[f"`{files.WORD_VECTORS}`", "vectors of words, see above"]]
      if files.WORD_VECTORS in spec["files"]
      else []
    ),
  ]


def _front_matter(
  spec: dict[str, Any], result: dict[str, Any], title: str
) -> str:
  """Writes the YAML; its values are JSON, which is YAML too."""
  name = spec["dataset"]["name"]
  listed = []
  for metric in _indexed(result):
    entry = result["summary"][metric]
    if entry["mean"] is not None:
      low, high = entry["ci95"]
      interval = "" if low is None else f", 95 % interval {low:.4f}-{high:.4f}"
      listed.append(
        {
          "type": metric,
          "value": round(entry["mean"], 4),
          "name": f"{metric}, mean of {entry['n']} run(s){interval}",
        }
      )
  index = [
    {
      "name": title,
      "results": [
        {
          "task": {
            "type": "multimodal-emotion-recognition",
            "name": "Multimodal emotion recognition",
          },
          "dataset": {
            "type": name,
            "name": name,
            "split": result["split"],
            "revision": spec["dataset"]["fingerprint"],
          },
          "metrics": listed,
        }
      ],
    }
  ]
  tags = ["emotion-recognition", "multimodal", "mmer_jax", spec["system"]]
  return "\n".join(
    [
      "---",
      "library_name: jax",
      "license: other",
      "license_name: as-of-the-training-data",
      f"tags: {json.dumps(tags)}",
      f"datasets: {json.dumps([name])}",
      f"metrics: {json.dumps([entry['type'] for entry in listed])}",
      f"model-index: {json.dumps(index, ensure_ascii=False)}",
      "---",
    ]
  )


def _protocol(result: dict[str, Any], runs: list[dict[str, Any]]) -> str:
  """Says on which rows, folds and seeds the numbers were measured."""
  protocol = result["protocol"]
  seeds = sorted({run["seed"] for run in runs})
  folds = list(dict.fromkeys(run["fold"] for run in runs))
  split = result["split"]
  caveat = ""
  if split == "validation":
    caveat = (
      " **These are of the validation split, by which checkpoints and settings"
      " were chosen: too good.** The test split was not evaluated."
    )
  return (
    f"Split `{split}` of protocol `{protocol['split']}`, decision"
    f" `{protocol['decision']}`; {len(folds)} fold(s) ({', '.join(folds)}),"
    f" seeds {', '.join(map(str, seeds))}. {tables.units(result)}: mean over"
    f" {len(runs)} runs"
    " ± half of the 95 % interval of the mean, which holds for these speakers"
    " and not for new ones." + caveat
  )


def _overall(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """Lists the metrics beside the majority baseline, as header and rows."""
  baseline = result["majority_baseline"]
  rated = result["protocol"]["decision"] == "regression"
  guess = "mean rating" if rated else "majority class"
  return ["metric", "mean", "runs", guess], [
    [
      name,
      tables.show(name, result["summary"][name]),
      str(result["summary"][name]["n"]),
      tables.show(name, statistics.summarise([baseline[name]])),
    ]
    for name in metric_names.measured(result)
  ]


def _per_emotion(
  result: dict[str, Any], runs: list[dict[str, Any]]
) -> tuple[list[str], list[list[str]]]:
  """Lists the metrics of each emotion, as header and rows."""
  rows = []
  indexed = _indexed(result)
  for emotion in result["protocol"]["emotions"]:
    scores = [run["per_emotion"][emotion] for run in runs]
    rows.append(
      [
        emotion,
        *(
          tables.show(
            name, metric_names.summarise(name, [s[name] for s in scores])
          )
          for name in indexed
        ),
      ]
    )
  return ["rating" if indexed != _INDEXED else "emotion", *indexed], rows


def _indexed(result: dict[str, Any]) -> tuple[str, ...]:
  """Lists the metrics of the front matter."""
  if result["protocol"]["decision"] == "regression":
    return metric_names.measured(result)
  return _INDEXED


def _decisions(spec: dict[str, Any], result: dict[str, Any]) -> str:
  """Says what is predicted, and by which thresholds."""
  how = {
    "fixed": "that of the config",
    "validation": "the best weighted accuracy on the validation split",
  }
  if spec["decision"] == "regression":
    ranges = ", ".join(
      f"{e['name']} from {e['range'][0]:g} to {e['range'][1]:g}"
      for e in spec["emotions"]
    )
    return f"Values are predicted, in the ratings' scales ({ranges}); not cut."
  chosen = spec["thresholds"]["chosen"]
  if chosen is None:
    return "The most probable emotion is predicted; there is no threshold."
  if chosen == "validation" and spec["ensemble"]:
    how["validation"] += " of each member, averaged"
  least = ", ".join(
    f"{e['name']} {e['threshold']:.4g}" for e in spec["emotions"]
  )
  evaluated = result["protocol"]["thresholds"]
  numbers = "these" if evaluated == chosen else f"others: {how[evaluated]}"
  return (
    f"Every emotion strictly above its threshold is predicted: {least}; a new"
    f" one {spec['thresholds']['new_emotion']:.4g}. They are {how[chosen]}. The"
    f" numbers above are of {numbers}."
  )


def _data(spec: dict[str, Any], run: dict[str, Any]) -> str:
  """Says what the model was trained on."""
  lines = [
    (
      f"Shards `{spec['dataset']['name']}`, fingerprint"
      f" `{spec['dataset']['fingerprint']}`. Their own terms hold for what was"
      " learnt from them too."
    )
  ]
  for modality, entry in spec["modalities"].items():
    lines.append(
      f"- {modality}: {entry['dim']} columns, {entry['columns'][0]} to"
      f" {entry['columns'][-1]}; up to {entry['max_length']} frames, the rest"
      f" is cut;"
      f" {'normalised inside' if entry['normalised'] else 'not normalised'};"
      f" there in {100 * entry['present_in_training']:.1f} % of the training"
      " utterances; may be absent."
    )
  few = [e for e in spec["emotions"] if not e["taught"]]
  if few:
    names = ", ".join(emotion["name"] for emotion in few)
    lines.append(f"- Never trained, read from their word vectors: {names}.")
  rows = [each["rows"]["train"] for each in run["runs"]]
  lines.append(f"- {min(rows)} to {max(rows)} training utterances a run.")
  environment = spec["environment"]
  lines.append(
    f"- Exported with mmer_jax {environment['mmer_jax']}, jax"
    f" {environment['jax']}, flax {environment['flax']}; config"
    f" `{spec['config_sha256']}`."
  )
  return "\n".join([lines[0], "", *lines[1:]])


def _modalities(spec: dict[str, Any]) -> str:
  """Names the modalities in the title's sentence."""
  return " + ".join(spec["modalities"])


def _emotions(spec: dict[str, Any]) -> str:
  """Names the emotions in the title's sentence."""
  if spec["decision"] == "regression":
    return f"ratings of {', '.join(e['name'] for e in spec['emotions'])}"
  how = "one of" if spec["decision"] == "softmax" else "each of"
  return f"{how} {', '.join(e['name'] for e in spec['emotions'])}"
