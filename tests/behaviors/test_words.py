"""Words in scripts with and without spaces."""

import pytest

from trimtab.behaviors.words import count_words, pieces, words


def test_words_are_case_folded_and_without_punctuation():
    assert words("“It's FINE,” she said: 3.5%") == ["it", "s", "fine", "she", "said", "3", "5"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("猫が好き。", ["猫", "が", "好", "き"]),
        ("我喜欢猫,cats", ["我", "喜", "欢", "猫", "cats"]),
        ("กินข้าว", ["กิ", "น", "ข้", "า", "ว"]),  # vowel signs and tone marks stay with their letter
        ("ｶﾀｶﾅ", ["カ", "タ", "カ", "ナ"]),  # half-width letters are the letters
    ],
)
def test_a_character_is_a_word_where_no_spaces_part_words(text: str, expected: list[str]):
    assert words(text) == expected


def test_marks_do_not_part_words_in_scripts_with_spaces():
    assert words("हिन्दी में") == ["हिन्दी", "में"]


def test_texts_without_spaces_are_compared_by_pairs_of_characters():
    assert pieces("猫が好き。犬") == ["猫が", "が好", "好き", "犬"]
    assert pieces("cats 猫") == ["cats", "猫"]


@pytest.mark.parametrize(
    ("text", "n"), [("Well - yes, sir!", 4), ("猫が好き", 4), ("a 猫が b", 4), ("", 0), (" . ", 1)]
)
def test_counted_words_are_those_between_spaces_or_characters(text: str, n: int):
    assert count_words(text) == n
