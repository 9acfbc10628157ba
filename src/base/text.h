// SPDX-License-Identifier: ISC
// Texts for people: replies, log reasons, command output. Every such text is
// written as TEXT("English words"); the English words are the key of the one
// table (texts.def) that gives the other languages, so that a language is added
// without touching code.
#ifndef PABAL_BASE_TEXT_H
#define PABAL_BASE_TEXT_H

#define TEXT(english) text_lookup(english)
// Marks a literal in a constant table; looked up where it is used.
#define TEXT_MARK(english) english

const char *text_lookup(const char *english) __attribute__((format_arg(1)));
// Chooses "ko" or "en" (or a locale such as "ko_KR.UTF-8"; what is neither is
// English). NULL: by the first of LC_ALL, LC_MESSAGES, LANG that is set; a first
// text_lookup without a choice does the same. The log stays English.
void text_set_language(const char *language);

#endif
