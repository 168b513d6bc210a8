"""The systems in eager PyTorch, as one would write them there.

What `vs_torch.py` times against: `nn.LSTM`, `nn.TransformerEncoderLayer`,
`nn.Conv2d`, cells in a loop where a memory needs them. All rows have full
length, so that masks, which differ from library to library, cost neither side.

A model maps streams, modality name to (b, t, d), to a loss; labels are (b, k).
"""

from typing import Any

import ml_collections
import torch
import torch_dae
from torch import nn

Streams = dict[str, torch.Tensor]


def make(
  config: ml_collections.ConfigDict, dims: dict[str, int], emotions: int
) -> nn.Module:
  """Makes the model of a config.

  Args:
    config: A config of the project.
    dims: Modality name to columns.
    emotions: Number of outputs.
  """
  lengths = {
    name: max(config.data.max_length[name], 1)
    for name in config.data.modalities
  }
  dims = {name: dims[name] for name in sorted(lengths)}
  kind = {
    "mtee": Mtee,
    "lf_lstm": LfLstm,
    "mfn": M3er,
    "m3er": M3er,
    "multiview": View,
    "dae_mmd": torch_dae.DaeMmd,
  }[config.system]
  return kind(config, dims, lengths, emotions)


class Mtee(nn.Module):
  """Dai et al. 2020: dot products with the emotions in three spaces."""

  def __init__(self, config: Any, dims: Any, lengths: Any, emotions: int):
    super().__init__()
    model = config.model
    self.config, self.hidden = config, dict(model.hidden)
    self.encoders = nn.ModuleDict(
      {
        name: _bilstm(dim, self.hidden[name], model)
        for name, dim in dims.items()
      }
    )
    width = self.hidden["lexical"]
    self.maps = nn.ModuleDict(
      {
        name: nn.Linear(width, self.hidden[name])
        for name in dims
        if name != "lexical"
      }
    )
    self.fusion = nn.Linear(len(dims), 1, bias=False)
    self.register_buffer("vectors", torch.randn(emotions, width))

  def scores(self, streams: Streams) -> torch.Tensor:
    """Scores the emotions."""
    scores = []
    for name, encoder in self.encoders.items():
      out, _ = encoder(streams[name])
      both = out[:, -1].unflatten(1, (2, self.hidden[name])).sum(1)
      space = self.vectors
      if name in self.maps:
        space = self.maps[name](space)
      scores.append(both @ space.T)
    return self.fusion(torch.stack(scores, dim=-1)).squeeze(-1)

  def forward(self, streams: Streams, labels: torch.Tensor) -> torch.Tensor:
    """Computes the loss."""
    return torch_dae.label_loss(self.config, self.scores(streams), labels)


class LfLstm(nn.Module):
  """Late fusion: one LSTM a modality, a linear layer over all."""

  def __init__(self, config: Any, dims: Any, lengths: Any, emotions: int):
    super().__init__()
    model = config.model
    self.config, hidden = config, dict(model.hidden)
    self.encoders = nn.ModuleDict(
      {name: _bilstm(dim, hidden[name], model) for name, dim in dims.items()}
    )
    self.hidden = hidden
    self.out = nn.Linear(sum(hidden[name] for name in dims), emotions)

  def scores(self, streams: Streams) -> torch.Tensor:
    """Scores the emotions."""
    parts = []
    for name, encoder in self.encoders.items():
      out, _ = encoder(streams[name])
      parts.append(out[:, -1].unflatten(1, (2, self.hidden[name])).sum(1))
    return self.out(torch.cat(parts, dim=-1))

  def forward(self, streams: Streams, labels: torch.Tensor) -> torch.Tensor:
    """Computes the loss."""
    return torch_dae.label_loss(self.config, self.scores(streams), labels)


class M3er(nn.Module):
  """Zadeh et al. 2018a (MFN), and Mittal et al. 2020 on top of it."""

  def __init__(self, config: Any, dims: Any, lengths: Any, emotions: int):
    super().__init__()
    model = config.model
    self.config, self.hidden, self.memory = config, model.hidden, model.memory
    self.multiplicative = config.system == "m3er"
    self.cells = nn.ModuleDict(
      {name: nn.LSTMCell(dim, model.hidden) for name, dim in dims.items()}
    )
    both = 2 * len(dims) * model.hidden

    def network(inner: int, width: int, out: int) -> nn.Module:
      return nn.Sequential(
        nn.Linear(inner, width),
        nn.ReLU(),
        nn.Dropout(model.dropout),
        nn.Linear(width, out),
      )

    self.attention = network(both, model.attention, both)
    self.proposal = network(both, model.proposal, model.memory)
    self.retain = network(both + model.memory, model.gate, model.memory)
    self.update = network(both + model.memory, model.gate, model.memory)
    self.heads = nn.ModuleDict(
      {name: nn.Linear(model.hidden, emotions) for name in dims}
    )
    fused = model.hidden if self.multiplicative else len(dims) * model.hidden
    self.out = network(fused + model.memory, model.classifier, emotions)

  def forward(self, streams: Streams, labels: torch.Tensor) -> torch.Tensor:
    """Computes the loss."""
    steps = max(frames.shape[1] for frames in streams.values())
    rows = len(labels)
    zeros = labels.new_zeros(rows, self.hidden)
    states = {name: (zeros, zeros) for name in self.cells}
    memory = labels.new_zeros(rows, self.memory)
    for step in range(steps):
      before = [states[name][1] for name in self.cells]
      for name, cell in self.cells.items():
        if step < streams[name].shape[1]:
          states[name] = cell(streams[name][:, step], states[name])
      now = [states[name][1] for name in self.cells]
      both = torch.cat(before + now, dim=-1)
      attended = torch.softmax(self.attention(both), dim=-1) * both
      gates = torch.cat([attended, memory], dim=-1)
      proposal = torch.tanh(self.proposal(attended))
      memory = (
        torch.sigmoid(self.retain(gates)) * memory
        + torch.sigmoid(self.update(gates)) * proposal
      )
    last = {name: states[name][0] for name in self.cells}
    if not self.multiplicative:
      joined = torch.cat([*last.values(), memory], dim=-1)
      return torch_dae.label_loss(self.config, self.out(joined), labels)
    return self._multiplicative(last, memory, labels)

  def _multiplicative(
    self, last: Streams, memory: torch.Tensor, labels: torch.Tensor
  ) -> torch.Tensor:
    """The multiplicative loss of binary decisions, its weights detached."""
    scores = {name: self.heads[name](state) for name, state in last.items()}
    right = {
      name: torch.sigmoid(torch.where(labels > 0, score, -score))
      for name, score in scores.items()
    }
    beta = self.config.model.multiplicative.beta / (len(right) - 1)
    loss, amounts = 0.0, []
    for name in right:
      others = [1 - right[other] for other in right if other != name]
      weight = torch.stack(others).prod(0).pow(beta).detach()
      loss = loss - (weight * right[name].clamp_min(1e-7).log()).mean()
      amounts.append(weight.mean(-1, keepdim=True))
    shares = torch.softmax(torch.cat(amounts, dim=-1), dim=-1)
    fused = sum(
      shares[:, [index]] * state for index, state in enumerate(last.values())
    )
    joined = torch.cat([fused, memory], dim=-1)
    return loss + torch_dae.label_loss(self.config, self.out(joined), labels)


class View(nn.Module):
  """Aguilar et al. 2019: B-ACO-1, and H-MM-4 with words of equal length."""

  def __init__(self, config: Any, dims: Any, lengths: Any, emotions: int):
    super().__init__()
    model = config.model
    self.config, self.view = config, model.view
    width = 2 * model.hidden

    self.acoustic = _bilstm(dims["acoustic"], model.hidden, model)
    self.drop = nn.Dropout(model.dropout)
    self.out = nn.Linear(width, emotions)
    if self.view == "b_aco_1":
      return
    self.frames = lengths["acoustic"] // lengths["lexical"]
    self.words = lengths["lexical"]
    self.lexical = _bilstm(dims["lexical"], model.hidden, model)
    self.from_acoustic = nn.Linear(width, model.gate, bias=False)
    self.from_lexical = nn.Linear(width, model.gate, bias=False)
    self.norms = nn.ModuleList(nn.BatchNorm1d(model.gate) for _ in range(2))
    self.gate = nn.Linear(2 * width, model.gate)
    self.fused = _bilstm(model.gate, model.hidden, model)
    self.attention = nn.Linear(width, model.attention)
    self.context = nn.Linear(model.attention, 1, bias=False)

  def forward(self, streams: Streams, labels: torch.Tensor) -> torch.Tensor:
    """Computes the loss."""
    states, _ = self.acoustic(streams["acoustic"])
    if self.view == "b_aco_1":
      vector = states.mean(1)
      return torch_dae.label_loss(
        self.config, self.out(self.drop(vector)), labels
      )
    forward, backward = states.chunk(2, dim=-1)
    last = self.frames * torch.arange(1, self.words + 1) - 1
    acoustic = torch.cat(
      [forward[:, last], backward[:, last - self.frames + 1]], dim=-1
    )
    lexical, _ = self.lexical(streams["lexical"])
    hidden = [
      torch.tanh(norm(layer(x).transpose(1, 2)).transpose(1, 2))
      for norm, layer, x in zip(
        self.norms,
        (self.from_acoustic, self.from_lexical),
        (acoustic, lexical),
        strict=True,
      )
    ]
    gate = torch.sigmoid(self.gate(torch.cat([acoustic, lexical], dim=-1)))
    fused = self.drop(gate * hidden[0] + (1 - gate) * hidden[1])
    words, _ = self.fused(fused)
    scores = self.context(torch.tanh(self.attention(words)))
    vector = (torch.softmax(scores, dim=1) * words).sum(1)
    return torch_dae.label_loss(
      self.config, self.out(self.drop(vector)), labels
    )


def _bilstm(dim: int, hidden: int, model: Any) -> nn.LSTM:
  """Both directions, with dropout between layers."""
  return nn.LSTM(
    dim,
    hidden,
    model.layers,
    batch_first=True,
    bidirectional=True,
    dropout=model.dropout if model.layers > 1 else 0.0,
  )
