"""AMI's XML: words, what is no word, segments, people, and damaged files."""

import shutil
from collections import Counter

import pytest

from data_prep.sources.ami import nxt, people
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import ami_files


def word_texts(stream):
  return [item.text if item else None for item in stream.items.values()]


def test_the_drawn_file_has_a_word_a_mark_and_a_noise(data_dir, tmp_path):
  source = data_dir / "layouts" / "ES2002a.A.words.xml"
  path = shutil.copy(source, tmp_path / source.name)
  tally = Counter()
  stream = nxt.read_words(path, tally)
  assert (stream.meeting, stream.agent) == ("ES2002a", "A")
  assert list(stream.items.items()) == [
    ("ES2002a.A.words0", None),
    ("ES2002a.A.words1", nxt.Word("Hmm", 77.44, 77.74, False)),
    ("ES2002a.A.words2", nxt.Word(".", 77.74, 77.74, True)),
  ]
  assert +tally == {"vocalsound": 1, "words": 1, "marks": 1}


def test_words_are_told_from_marks_noises_and_words_broken_off(tmp_path):
  path = ami_files.words(
    tmp_path,
    "ES2002a.B",
    ("Th", 1, 1.2, 'trunc="true"'),
    ("L_C_D_s", 1.2, 1.6),
    ("caf\xe9", 1.6, 2.0),
    (",", 2.0, 2.0, 'punc="true"'),
    "disfmarker",
    "gap",
    "transformerror",
    ("ok", None, None),
    ("&lt;b&gt;", 3, 3.5),
    ("a_b", 4, 4),
  )
  tally = Counter()
  stream = nxt.read_words(path, tally)
  assert word_texts(stream) == (
    ["Th", "LCDs", "caf\xe9", ",", None, None, None, "ok", "<b>", "ab"]
  )
  assert +tally == {
    **{"words": 6, "marks": 1, "words broken off": 1, "words without times": 1},
    **{"disfmarker": 1, "gap": 1, "transformerror": 1},
  }
  timed = [item.is_timed for item in stream.items.values() if item]
  assert timed == [True, True, True, False, False, True, True]


def test_a_segment_is_a_range_or_one_element(tmp_path):
  path = ami_files.words(
    tmp_path, "ES2002a.A", ("a", 1, 2), "vocalsound", ("b", 2, 3), ("c", 3, 4)
  )
  stream = nxt.read_words(path)
  file = ami_files.segments(
    tmp_path, "ES2002a.A", (0.9, 3.1, 0, 2), (3.0, 4.5, 3, 3)
  )
  found = nxt.read_segments(file, stream, Counter())
  assert [each[1:] for each in found] == [(0.9, 3.1, 0, 2), (3.0, 4.5, 3, 3)]


def test_a_person_is_the_global_name_and_not_the_agent(tmp_path):
  ami_files.meetings(
    tmp_path,
    {
      "ES2002a": {"A": ("MEE006", "1"), "B": ("FEE005", None)},
      "ES2002b": {"A": ("FEE005", "0")},
    },
  )
  assert people.read(tmp_path) == {
    ("ES2002a", "A"): people.Person("MEE006", "1"),
    ("ES2002a", "B"): people.Person("FEE005", None),
    ("ES2002b", "A"): people.Person("FEE005", "0"),
  }
  assert people.read(tmp_path / "words") == {}


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (f'<?xml version="1.0"?>{BOMB}<r>&b;</r>'.encode(), "holds <!DOCTYPE"),
    (f"<?xml version='1.0'?>{BOMB}<r/>".encode("utf-16"), "is UTF-16 text"),
    (f"{BOMB}<r/>".encode("utf-16-le"), "holds NUL bytes"),
    (b"<?xml version='1.0' encoding='utf-7'?><r/>", "is XML in utf-7, expec"),
    (b"<?xml version='1.0' encoding='UTF-8'?><r>\xe9</r>", "is not UTF-8"),
    (b"<root><w>", "is not XML: .* damaged"),
    (b"", "is not XML"),
  ],
)
def test_a_file_that_is_no_safe_xml_is_named(tmp_path, content, message):
  path = tmp_path / "ES2002a.A.words.xml"
  path.write_bytes(content)
  with pytest.raises(UserError, match=message):
    nxt.read_words(path)


@pytest.mark.parametrize(
  ("elements", "message"),
  [
    ([("a", "nan", 1)], "words0: starttime 'nan', expected seconds"),
    ([("a", -1, 1)], "starttime '-1'"),
    ([("a", 1, "1e99")], "endtime '1e99'"),
    ([("a", "1,5", 2)], "starttime '1,5'"),
  ],
)
def test_a_wrong_time_is_named(tmp_path, elements, message):
  path = ami_files.words(tmp_path, "ES2002a.A", *elements)
  with pytest.raises(UserError, match=message):
    nxt.read_words(path)


def test_two_elements_of_one_id_are_named(tmp_path):
  path = ami_files.words(tmp_path, "ES2002a.A", ("a", 1, 2), ("b", 2, 3))
  text = path.read_text("latin-1").replace("words1", "words0")
  path.write_text(text, "latin-1")
  with pytest.raises(UserError, match="words0 stands there twice"):
    nxt.read_words(path)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (("words1)", "words9)"), "words.xml has no 'ES2002a.A.words9'"),
    (("A.words.xml#", "B.words.xml#"), "names no words of ES2002a.A.words.xml"),
    (("#id", "#"), "expected FILE#id"),
    (('transcriber_end="2"', 'transcriber_end="x"'), "transcriber_end 'x'"),
  ],
)
def test_a_segment_of_other_words_is_named(tmp_path, change, message):
  stream = nxt.read_words(
    ami_files.words(tmp_path, "ES2002a.A", ("a", 1, 2), ("b", 2, 3))
  )
  path = ami_files.segments(tmp_path, "ES2002a.A", (1, 2, 0, 1))
  path.write_text(path.read_text().replace(*change))
  with pytest.raises(UserError, match=message):
    nxt.read_segments(path, stream, Counter())


def test_segments_without_times_or_words_are_counted(tmp_path):
  stream = nxt.read_words(ami_files.words(tmp_path, "ES2002a.A", ("a", 1, 2)))
  path = ami_files.segments(
    tmp_path,
    "ES2002a.A",
    (1, 2, 0, 0),
    (3, 2, 0, 0),
    (4, 5, 0, 0),
    (6, 7, 0, 0),
  )
  text = path.read_text().replace('transcriber_end="5"', "")
  head, child, rest = text.rpartition("<nite:child")
  path.write_text(head + rest[rest.index("/>") + 2 :])
  tally = Counter()
  (segment,) = nxt.read_segments(path, stream, tally)
  assert segment[1:] == (1, 2, 0, 0)
  assert tally == {nxt.WITHOUT_TIMES: 2, nxt.WITHOUT_LINK: 1}


def test_a_word_that_ends_before_it_begins_has_no_times(tmp_path):
  path = ami_files.words(tmp_path, "ES2002a.A", ("a", 2, 1), ("b", 1, 1))
  tally = Counter()
  first, second = nxt.read_words(path, tally).items.values()
  assert not first.is_timed and second.is_timed
  assert tally["words that end before they begin, their times not used"] == 1
  assert tally["words without times"] == 1


def test_a_speaker_without_a_name_is_nobody(tmp_path):
  path = ami_files.meetings(
    tmp_path, {"ES2002a": {"A": ("MEE006", "1"), "B": ("", "1")}}
  )
  assert list(people.read(tmp_path)) == [("ES2002a", "A")]
  path.write_text(path.read_text().replace("global_name", "name"))
  with pytest.raises(UserError, match="has no speaker with nxt_agent and glob"):
    people.read(tmp_path)
