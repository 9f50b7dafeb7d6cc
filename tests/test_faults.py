"""docs/faults.md has the rows of the tests, and no others."""

from faults import DOCUMENT, MARK, marked_tests, read_rows, table


def test_rows_and_tests_of_faults_match() -> None:
    assert {row.test for row in read_rows()} == marked_tests()


def test_document_of_faults_is_unedited() -> None:
    assert table(read_rows()) == MARK + DOCUMENT.read_text().partition(MARK)[2]


def test_no_fault_loses_anything() -> None:
    assert {row.lost.partition(";")[0] for row in read_rows()} == {"nothing"}
