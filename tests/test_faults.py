"""docs/faults.md has the rows of the tests, and no others."""

from faults import DOCUMENT, MARK, marked_tests, read_rows, table


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    assert {row.test for row in read_rows()} == marked_tests()


def test_the_document_is_as_it_was_written() -> None:
    assert table(read_rows()) == MARK + DOCUMENT.read_text().partition(MARK)[2]


def test_nothing_was_lost() -> None:
    assert {row.lost.partition(";")[0] for row in read_rows()} == {"nothing"}
