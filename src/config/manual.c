// SPDX-License-Identifier: ISC
// The manual page pabal.conf(5) as scdoc source, made from the table.
#include "config/config_internal.h"

#include "base/text.h"

static const char head[] =
	"pabal.conf(5)\n\n"
	"# NAME\n\n"
	"pabal.conf - configuration of the mail server Pabal\n\n"
	"# DESCRIPTION\n\n"
	"The file is plain text in UTF-8. A setting is a name and its value; a block is a name, "
	"for "
	"some blocks a label in quotes, and settings in braces. A statement ends at the end of its "
	"line, at ; or where the next one begins. # begins a comment. In quotes, \\\\\" and "
	"\\\\\\\\ stand "
	"for the quote and the backslash.\n\n"
	"A size is a number of octets, or of K, M, G or T (powers of 1024). A time is a number of "
	"seconds, or of ms, s, m, h, d or w, also several together: 1h30m. A list is values in "
	"quotes "
	"on one line or, over several lines, in braces.\n\n"
	"Every setting has a safe default. *pabal check* reports all errors with file, line and "
	"column; *pabal check --show* prints what is in force.\n\n"
	"# EXAMPLE\n\n"
	"```\n"
	"hostname   \"mail.example.kr\"\n"
	"domains    { \"example.kr\" }\n"
	"postmaster \"kim@example.kr\"\n\n"
	"tls { certificate \"/etc/pabal/tls/mail.pem\" }\n\n"
	"server \"mx\"          { listen \"*:25\" }\n"
	"server \"submission\"  { listen \"*:587\"  require { tls auth } }\n"
	"server \"submissions\" { listen \"*:465\" tls implicit  require { auth } }\n\n"
	"clients { \"192.168.2.0/24\" relay }\n"
	"deliver { maildir \"/var/mail/%d/%u/Maildir\" }\n"
	"```\n\n"
	"The first three lines are enough.\n\n";

static const char foot[] = "# FILES\n\n"
			   "_/etc/pabal/pabal.conf_\n\n"
			   "# SEE ALSO\n\n"
			   "*pabal*(8)\n";

// Text in which scdoc's signs mean themselves.
static void add_plain(const char *text, struct buf *out)
{
	for (; *text; text++) {
		if (strchr("\\*_#.~[]|`", *text))
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
}

static const char *reload_words(char reload)
{
	if (reload == 'r')
		return TEXT("after a restart");
	return reload == 's' ? TEXT("for new sessions") : TEXT("at once");
}

static void add_range(const struct config_setting *s, struct buf *out)
{
	struct buf words = BUF_INIT;
	if (s->least || s->most) {
		config_expected(s, &words);
		// "a size like 50M from 1K to 4G" without its first part.
		ptrdiff_t from = str_search(buf_str(&words), STR(" from "));
		if (from >= 0) {
			buf_add_char(out, ',');
			add_plain(buf_cstr(&words) + from, out);
		}
	}
	buf_finish(&words);
}

static void add_syntax(const struct config_setting *s, struct buf *out)
{
	if (!s->words) {
		add_plain(strcmp(s->name, "local") == 0	   ? ""
			  : strcmp(s->name, "refuse") == 0 ? "\"TEXT\""
			  : strcmp(s->name, "lmtp") == 0   ? "\"/SOCKET\"|\"HOST[:PORT]\""
							   : s->type->syntax,
			out);
		return;
	}
	for (size_t i = 0; s->words[i]; i++) {
		if (i)
			add_plain("|", out);
		add_plain(s->words[i], out);
	}
}

// In which kinds of its block it has a meaning.
static void add_kinds(const struct config_setting *s, struct buf *out)
{
	struct buf kinds = BUF_INIT;
	if (config_blocks[s->block].kinds)
		config_blocks[s->block].kinds(s, &kinds);
	if (buf_len(&kinds)) {
		buf_add_text(out, TEXT(" Of: "));
		add_plain(buf_cstr(&kinds), out);
		add_plain(".", out);
	}
	buf_finish(&kinds);
}

static void add_setting(const struct config_setting *s, struct buf *out)
{
	buf_add_format(out, "*%s* ", s->name);
	add_syntax(s, out);
	buf_add_text(out, "\n\t");
	add_plain(TEXT(s->help), out);
	add_kinds(s, out);
	buf_add_text(out, "\n\n\t");
	const char *standard = s->derived ? TEXT(s->derived) : s->standard;
	if (s->inherits)
		standard = s->derived ? TEXT(s->derived) : TEXT("as set outside the block");
	if (standard) {
		buf_add_text(out, TEXT("Default: "));
		add_plain(standard, out);
	} else {
		buf_add_text(out, TEXT("Default: none"));
	}
	add_range(s, out);
	buf_add_format(out, TEXT("\\. A change holds %s\\.\n\n"), reload_words(s->reload));
}

static void add_block(enum config_block_id id, struct buf *out)
{
	const struct config_block *b = &config_blocks[id];
	size_t count;
	const struct config_setting *s = config_settings_of(id, &count);
	if (!b->name) {
		buf_add_text(out, "# SETTINGS\n\n");
	} else {
		buf_add_text(out, "# BLOCK ");
		for (const char *c = b->name; *c; c++)
			buf_add_char(out, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
		buf_add_format(
			out, "\n\n*%s* %s\\{ ... \\}", b->name, b->item_size ? "\"LABEL\" " : "");
		buf_add_text(out, "\n\n");
		add_plain(TEXT(b->help), out);
		buf_add_text(out, "\n\n");
	}
	for (size_t i = 0; i < count; i++)
		add_setting(&s[i], out);
	for (enum config_block_id inner = 1; inner < CONFIG_BLOCK_COUNT; inner++) {
		if (config_blocks[inner].parent != id || id == CONFIG_BLOCK_TOP)
			continue;
		buf_add_format(out, "*%s* %s\\{ ... \\}\n\t", config_blocks[inner].name,
			config_blocks[inner].item_size ? "\"LABEL\" " : "");
		add_plain(TEXT(config_blocks[inner].help), out);
		buf_add_text(out, "\n\n");
	}
}

int config_manual(struct buf *out)
{
	buf_add_text(out, head);
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++)
		if (id != CONFIG_BLOCK_SERVER_TLS)
			add_block(id, out);
	return buf_add_text(out, foot);
}
