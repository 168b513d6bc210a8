"""Pickles are not trusted: what they may hold, and what they may not do."""

import collections
import io
import os
import pickle

import numpy as np
import pytest

from data_prep.readers import describe, memory, unpickle
from mmer_jax.base.errors import UserError


def load(folder, content):
  path = folder / "a.pkl"
  path.write_bytes(content)
  return unpickle.load(path)


def same(one, other):
  """Whether two values are alike, dtypes and orders of keys included."""
  if isinstance(one, np.ndarray):
    if one.dtype.hasobject:
      one, other = one.ravel().tolist(), other.ravel().tolist()
      return all(map(same, one, other))
    return (
      one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
      and one.shape == other.shape
      and bool(np.array_equal(one, other))
    )
  if type(one) is not type(other):
    return False
  if isinstance(one, dict):
    return list(one) == list(other) and all(
      same(one[key], other[key]) for key in one
    )
  if isinstance(one, (list, tuple)):
    return len(one) == len(other) and all(map(same, one, other))
  return one == other


RNG = np.random.default_rng(0)
CONTENT = {
  "float": RNG.normal(size=(3, 4)),
  "half": RNG.normal(size=(2, 1, 3)).astype(np.float16),
  "big": RNG.normal(size=5).astype(">f4"),
  "big text": np.array(["ab", "cüd"]).astype(">U3"),
  "int": RNG.integers(-9, 9, (2, 2)),
  "byte": np.arange(4, dtype=np.uint8),
  "bool": np.array([True, False]),
  "complex": np.array([1j, 2.5]),
  "text": np.array(["a", "bc", "é", "\U0001f600"]),
  "bytes": np.array([b"a", b"bc"]),
  "order": np.asfortranarray(RNG.normal(size=(3, 2))),
  "none": np.zeros((0, 3)),
  "single": np.array(3.5),
  "objects": np.array([np.ones(2), "x", None], object),
  "numbers": [np.float32(2), np.int64(-3), np.bool_(True), np.str_("hé")],
  "plain": [1, -(2**70), 2.5, float("inf"), None, True, 1j, "é", b"\xff"],
  "nested": {"a": ({1, 2}, frozenset("x"), [(), [], {}], bytearray(b"x"))},
  "ordered": collections.OrderedDict(b=1, a=[np.arange(3)]),
  "default": collections.defaultdict(list, a=[1]),
  "counts": collections.defaultdict(int, a=1),
}


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_comes_back(tmp_path, protocol):
  content = dict(CONTENT)
  if protocol == 5:
    # As of a buffer, which is read-only otherwise.
    content["raw"] = np.arange(8.0).reshape(2, 4)
  loaded = load(tmp_path, pickle.dumps(content, protocol))
  for name, value in content.items():
    assert same(value, loaded[name]), name


@pytest.mark.parametrize("protocol", range(4))
def test_numpy_1_wrote_other_names(tmp_path, protocol):
  content = pickle.dumps(CONTENT["numbers"] + [CONTENT["float"]], protocol)
  older = content.replace(b"numpy._core.", b"numpy.core.")
  assert older != content
  loaded = load(tmp_path, older)
  assert loaded[:4] == CONTENT["numbers"]
  assert same(CONTENT["float"], loaded[4])


def test_python_2_wrote_bytes_for_text(tmp_path):
  # {'caf\xe9': array([1., 2.])} as Python 2.7 with NumPy 1.16 writes it.
  content = (
    b"\x80\x02}q\x00U\x04caf\xe9q\x01cnumpy.core.multiarray\n_reconstruct\nq"
    b"\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x02\x85cnumpy"
    b"\ndtype\nq\x05U\x02f8K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff"
    b"\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10\x00\x00\x00\x00\x00\x00\xf0?\x00"
    b"\x00\x00\x00\x00\x00\x00@tbs."
  )
  loaded = load(tmp_path, content)
  assert list(loaded) == ["café"]
  np.testing.assert_array_equal(loaded["café"], [1.0, 2.0])
  # set(['a']), collections.OrderedDict([('a', 1L)]) and a scalar.
  sets = b"\x80\x02c__builtin__\nset\n]U\x01aa\x85R."
  assert load(tmp_path, sets) == {"a"}
  ordered = b"ccollections\nOrderedDict\n((lp0\n(lp1\nS'a'\naL1L\naatR."
  assert load(tmp_path, ordered) == {"a": 1}
  scalar = (
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\n"
    b"S'<'\nNNNI-1\nI-1\nI0\ntbS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?'\ntR."
  )
  assert load(tmp_path, scalar) == 1.0


class Evil:
  """Calls something when it is loaded."""

  def __init__(self, *how):
    self.how = how

  def __reduce__(self):
    return self.how


@pytest.mark.parametrize(
  ("content", "name"),
  [
    (pickle.dumps(Evil(os.system, ("touch broken_into",))), "posix.system"),
    (pickle.dumps([Evil(eval, ("1",))], 0), "__builtin__.eval"),
    (pickle.dumps({"x": np.array([Evil(exec, ("1",))], object)}), "exec"),
    (pickle.dumps(Evil(getattr, (str, "format"))), "builtins.getattr"),
    (pickle.dumps(Evil(__import__, ("os",))), "builtins.__import__"),
    (pickle.dumps(Evil(open, ("broken_into", "w"))), "open"),
    (pickle.dumps(io.BytesIO(b"x")), "_io.BytesIO"),
    (pickle.dumps(collections.Counter()), "collections.Counter"),
    # A name within a name that is known, as protocol 4 allows.
    (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "ndarray.tofile"),
    (b"cnumpy\nload\n(S'broken_into'\ntR.", "numpy.load"),
    (b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.", "multiarray.fromfile"),
    (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
    (b"ccopy_reg\n_reconstructor\n.", "copy_reg._reconstructor"),
    (b"(S'touch broken_into'\nios\nsystem\n.", "os.system"),
  ],
)
def test_what_is_called_is_refused_by_its_name(
  tmp_path, monkeypatch, content, name
):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match=f"is refused: it calls .*{name}"):
    load(tmp_path, content)
  assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl"]


class Made:
  """Is made by a call and a state of one's own choice."""

  def __init__(self, *how):
    self.how = how

  def __reduce__(self):
    return self.how


RECONSTRUCT = np.zeros(1).__reduce__()[0]
FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
SCALAR = np.float64(0).__reduce__()[0]


def array_of(kind, data=b"A" * 8):
  state = (1, (1,), kind, False, data)
  return Made(RECONSTRUCT, (np.ndarray, (0,), b"b"), state)


# Of objects, without the flag that says so: bytes become addresses.
LYING = Made(np.dtype, ("O", False, True), (3, "|", *[None] * 3, -1, -1, 0))
FIELDS = {"a": (Made(np.dtype, ("O", False, True)), 0)}
STRUCTURE = Made(
  np.dtype, ("V8", False, True), (3, "|", None, ("a",), FIELDS, 8, 1, 0)
)
# Of numbers, with the flag: their bytes become addresses.
COUNTED = Made(np.dtype, ("f8", False, True), (3, "<", *[None] * 3, -1, -1, 63))


@pytest.mark.parametrize(
  "made",
  [
    array_of(LYING),
    array_of(STRUCTURE),
    array_of(Made(np.dtype, ("V8",))),
    array_of(Made(np.dtype, ("f8,O",))),
    array_of(Made(np.dtype, (Made(list, ()),))),
    array_of(8),
    Made(FROM_BUFFER, (b"A" * 8, LYING, (1,), "C")),
    Made(FROM_BUFFER, (b"A" * 8, STRUCTURE, (1,), "C")),
    Made(SCALAR, (LYING, b"A" * 8)),
    Made(SCALAR, (STRUCTURE, b"A" * 8)),
    Made(SCALAR, (Made(np.dtype, ("f8",)), b"A")),
    # Other classes than arrays, and arrays made by a plain call.
    Made(RECONSTRUCT, (list, (0,), b"b")),
    Made(np.ndarray, ((2,),)),
    # Too many bytes, too few, a shape below 0.
    array_of(Made(np.dtype, ("f8",)), b"A" * 9),
    array_of(Made(np.dtype, ("f8",)), b"A"),
    # Text of a number that no character has.
    array_of(Made(np.dtype, ("U2",), (3, "<", *[None] * 3, 8, 4, 8))),
  ],
)
def test_types_of_a_pickles_own_making_are_refused(tmp_path, made):
  for protocol in (2, 4):
    with pytest.raises(UserError, match="a.pkl is "):
      load(tmp_path, pickle.dumps(made, protocol))


def test_flags_of_a_type_are_not_taken_from_a_pickle(tmp_path):
  # Eight bytes of numbers, whatever the flag says.
  loaded = load(tmp_path, pickle.dumps(array_of(COUNTED)))
  assert loaded.dtype == np.float64 and not loaded.dtype.hasobject


@pytest.mark.parametrize(("module", "name"), sorted(set(unpickle._ALLOWED)))
def test_no_pickle_changes_what_the_next_one_gets(tmp_path, module, name):
  # The opcode that sets attributes of what a name stands for.
  for state in (b"(S'x'\nI1\nd", b"(N(S'x'\nI1\ndt"):
    with pytest.raises(UserError, match="not a readable pickle|is refused"):
      load(tmp_path, f"c{module}\n{name}\n".encode() + state + b"b.")
  assert not hasattr(unpickle._ALLOWED[module, name], "x")


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"text",
    b"\x80\x04\x95",
    b"]q",
    b"\x80\x09.",
    b"\x82\x01.",
    b"S'x'\nQ.",
    b"PK\x03\x04",
    pickle.dumps(CONTENT)[:-40],
  ],
)
def test_a_broken_pickle_is_one_line(tmp_path, content):
  with pytest.raises(UserError, match="a.pkl is ") as raised:
    load(tmp_path, content)
  assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
  "content",
  [
    # A place in a memo of 32 GB, by two opcodes; bytes of half a terabyte.
    b"\x80\x02]r\xff\xff\xff\x7f.",
    b"]p4000000000\n.",
    b"\x80\x05\x96\x00\x00\x00\x00\x80\x00\x00\x00.",
    b"cbuiltins\nbytearray\n(I100000000000\ntR.",
    b"cbuiltins\nbytes\n(I100000000000\ntR.",
  ],
)
@pytest.mark.skipif(memory.resource is None, reason="no limits of memory")
def test_a_few_bytes_do_not_take_all_memory(tmp_path, content):
  before = memory.resource.getrlimit(memory.resource.RLIMIT_AS)
  with pytest.raises(UserError, match="asks for too much memory"):
    load(tmp_path, content)
  assert memory.resource.getrlimit(memory.resource.RLIMIT_AS) == before


def test_small_things_may_take_many_times_their_bytes(tmp_path):
  # Empty lists, an opcode each.
  loaded = load(tmp_path, b"\x80\x04(" + b"]" * 300_000 + b"l.")
  assert loaded == [[]] * 300_000


@pytest.mark.parametrize(
  ("name", "parts"),
  [
    (
      "frame.pkl",
      (
        *("pandas.DataFrame", "pandas.read_pickle('frame.pkl').to_csv"),
        *("--source=folder --input=frame_safe.csv", "--source=utterances"),
      ),
    ),
    (
      "torch_in_pickle.pkl",
      (
        *("torch.Tensor", "import pickle, torch"),
        "--source=pickle --input=torch_in_pickle_safe.pkl",
      ),
    ),
  ],
)
def test_objects_of_other_packages_are_named_with_a_way_out(
  data_dir, name, parts
):
  with pytest.raises(UserError) as raised:
    unpickle.load(data_dir / "layouts" / name)
  message = str(raised.value)
  assert "\n" not in message
  for part in parts:
    assert part in message
  # What stands between the marks is Python.
  compile(message.split("`")[1], name, "exec")


def test_a_text_about_pandas_is_no_table_of_pandas(tmp_path):
  content = {"train": ["pandas. i like pandas.", "cpandas.core\n"]}
  (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
  assert describe.describe(tmp_path / "a.pkl")["kind"] == "pickle"


def test_the_drawn_files_are_what_pickle_makes_of_them(data_dir):
  count = 0
  for path in sorted((data_dir / "layouts").glob("*.pkl")):
    if path.name not in ("frame.pkl", "torch_in_pickle.pkl"):
      expected = pickle.loads(path.read_bytes(), encoding="latin1")
      assert same(expected, unpickle.load(path)), path.name
      count += 1
  assert count == 10
