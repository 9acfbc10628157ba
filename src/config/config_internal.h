// SPDX-License-Identifier: ISC
// What the files of this room share: the table of settings, the parser's state
// and the codec. settings.c holds the table; everything else walks over it.
#ifndef PABAL_CONFIG_INTERNAL_H
#define PABAL_CONFIG_INTERNAL_H

#include "config/config.h"
#include "config/limits.h"
#include "config/tokenizer.h"

#include "base/buf.h"

struct config_parser;
struct config_codec;
struct config_setting;
struct config_frame;

enum config_block_id {
	CONFIG_BLOCK_TOP, // the file itself
	CONFIG_BLOCK_TLS,
	CONFIG_BLOCK_SERVER,
	CONFIG_BLOCK_SERVER_TLS, // takes the settings of TLS
	CONFIG_BLOCK_AUTH,
	CONFIG_BLOCK_SOURCE,
	CONFIG_BLOCK_EXTERNAL,
	CONFIG_BLOCK_GSSAPI,
	CONFIG_BLOCK_WINBIND,
	CONFIG_BLOCK_GUESS,
	CONFIG_BLOCK_DELIVER,
	CONFIG_BLOCK_MAILBOXES,
	CONFIG_BLOCK_ROUTE,
	CONFIG_BLOCK_DESTINATION,
	CONFIG_BLOCK_RESOLVER,
	CONFIG_BLOCK_LOG,
	CONFIG_BLOCK_QUEUE,
	CONFIG_BLOCK_LIMITS,
	CONFIG_BLOCK_GUARD,
	CONFIG_BLOCK_LIMIT,
	CONFIG_BLOCK_COUNT
};

// How a kind of value is read, printed and carried in a snapshot. base is the
// struct the setting's offset counts from.
struct config_type {
	const char *what;   // "expected WHAT", "a size like 50M"
	const char *syntax; // of the manual page, "SIZE"
	bool repeats;	    // may be written more than once, each adds
	// The name has been read, the parser stands at the value. Reports by itself.
	void (*parse)(struct config_parser *p, const struct config_setting *s, void *base);
	// The whole statement with its name; nothing when not set. NULL: another
	// setting prints it.
	void (*show)(
		const struct config_setting *s, const void *base, unsigned depth, struct buf *out);
	// Encodes, decodes or wipes, as the codec says. NULL: another setting carries it.
	void (*carry)(struct config_codec *c, const struct config_setting *s, void *base);
	// Of the strings: makes the value out of what was written. ERR_SYNTAX after
	// it has reported.
	int (*normalise)(struct config_parser *p, const struct config_setting *s,
		const struct config_token *t, struct str *out);
};

struct config_setting {
	enum config_block_id block;
	const char *name;
	const struct config_type *type;
	size_t offset, size;	  // of the field in the block's struct
	const char *standard;	  // the default as text of the value; NULL: none (empty)
	char reload;		  // 'l' live, 's' session, 'r' restart
	unsigned roles;		  // CONFIG_FOR_*: who may see it
	const char *help;	  // TEXT_MARK
	uint64_t least, most;	  // of numbers; 0, 0: any
	const char *const *words; // of choices, NULL at the end
	unsigned secret_for;	  // files: who may see the content; 0: as roles
	bool inherits;		  // servers: the value written outside a block is the default
	const char *derived;	  // a default in words where it depends on other settings
	// After a value was read.
	void (*check)(struct config_parser *p, const struct config_setting *s, const void *base);
};

// A block. Single ones lie inside the parent's struct at offset; repeated ones
// carry a label and form an array of items.
struct config_block {
	const char *name; // NULL: the file itself
	enum config_block_id parent;
	enum config_block_id settings; // whose settings it takes
	size_t offset;		       // single: of its struct in the parent's
	size_t present;		       // single: of a bool in the parent's; 0: none
	size_t items, count;	       // repeated: of pointer and count in the parent's
	size_t item_size;	       // 0: single
	size_t where;		       // repeated: of its struct config_place
	size_t most;		       // repeated: how many there may be
	bool bare;		       // repeated: braces may be left out, several labels stand together
	char reload;		       // one more or one less
	unsigned roles;
	const char *label; // what the label is, for words
	const char *help;
	// Repeated: makes the label (first member of the item) out of what was written.
	int (*open)(struct config_parser *p, const struct config_token *t, struct str *out_label);
	void (*close)(struct config_parser *p, const struct config_frame *f); // checks of its own
	// Repeated: whether the setting has a meaning in this item, else it is not shown. NULL: all.
	bool (*takes)(const struct config_setting *s, const void *item);
	void (*kinds)(const struct config_setting *s, struct buf *out); // in which; for the manual
};

extern const struct config_block config_blocks[CONFIG_BLOCK_COUNT];
// The settings of a block, which lie together.
const struct config_setting *config_settings_of(enum config_block_id block, size_t *out_count);
const struct config_setting *config_setting_find(enum config_block_id block, struct str name);

// ---- parser
// One block being read.
struct config_frame {
	enum config_block_id block;
	char *base; // its struct
	const struct config_setting *settings;
	size_t setting_count;
	struct config_place *places; // one a setting; line 0: not written
	struct config_place where;   // of the block's name
	size_t errors;		     // found before it
};

#define CONFIG_INCLUDE_DEPTH 8
#define CONFIG_INCLUDE_MAX   1000

struct config_parser {
	struct config *config;
	const struct config_reader *reader;
	struct config_findings *findings;
	struct arena scratch;
	struct config_tokenizer tokenizer;
	struct config_token token; // the one not yet taken
	struct str main_file;
	struct str file;				    // being read; "" for defaults
	struct config_place name;			    // of the setting being read
	struct config_frame *frame;			    // of the setting being read
	struct config_place included[CONFIG_INCLUDE_DEPTH]; // path in .file
	size_t depth, includes;
	struct config_frame single[CONFIG_BLOCK_COUNT]; // top level and the blocks that exist once
	struct config_frame *servers;			// same order as config->servers
	size_t server_frames;
	struct config_frame *server_tls; // of the same servers; block 0: none
	size_t server_tls_frames;
};

void config_advance(struct config_parser *p);			// takes the token; reports bad ones
struct config_place config_here(const struct config_parser *p); // of the token
void config_report(struct config_parser *p, char severity, struct config_place place,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
// "line 5", with the file when there are several.
const char *config_place_words(struct config_parser *p, struct config_place place);
// "NAME: expected WHAT, not FOUND" at the token t; what NULL: as the setting's
// type, range and words say.
void config_report_expected(struct config_parser *p, const struct config_setting *s,
	const struct config_token *t, const char *what);
// Takes a string in quotes; a word or string when words is true. False: reported.
bool config_take_value(struct config_parser *p, const struct config_setting *s, bool words,
	struct config_token *out);
// Takes the values of a list, each in quotes, in braces or to the end of the line.
void config_take_list(struct config_parser *p, const struct config_setting *s,
	void (*add)(struct config_parser *p, const struct config_setting *s,
		const struct config_token *t, void *base),
	void *base);
bool config_next_is(const struct config_parser *p, const char *word); // that word
bool config_at_end(const struct config_parser *p);		      // of a block or the file
// Index of a word in the setting's choices, or -1.
int config_choice_of(const struct config_setting *s, struct str word);
// Into the configuration's arena.
struct str config_keep(struct config_parser *p, struct str s);
// Was the setting with this field written in the block? Place with line 0: no.
struct config_place config_place_of(const struct config_frame *f, const char *name);
// Settings of the block that were not written get their default.
void config_apply_standards(struct config_parser *p, struct config_frame *f);
// Reads text that is part of the program as if it were a file.
void config_read_text(struct config_parser *p, struct str text);
// Reads a file of the configuration whole into the configuration's arena;
// reports at place.
enum config_read {
	CONFIG_READ_PLAIN,
	CONFIG_READ_PEM, // secret when there is a private key in it
	CONFIG_READ_SECRET,
	CONFIG_READ_SECRET_LINE, // its first line
};
int config_read_file(struct config_parser *p, struct str path, enum config_read how,
	struct config_place place, struct str *out);
// A path as written in the current file: relative ones start at its folder.
struct str config_resolve_path(struct config_parser *p, struct str path);
// One more zeroed item at the end of an array in the arena.
void *config_array_add(struct arena *a, void *items_field, size_t *count, size_t item_size);
void config_include(struct config_parser *p, struct str path);

// ---- after the last file: defaults, what depends on other settings, order, checks of all together
void config_finish(struct config_parser *p);
void config_sort(struct config *c); // into the order that lookup.c expects
void config_tls_close(struct config_parser *p, const struct config_frame *f);
void config_server_close(struct config_parser *p, const struct config_frame *f);
void config_mailboxes_close(struct config_parser *p, const struct config_frame *f);
void config_route_close(struct config_parser *p, const struct config_frame *f);
void config_check_pair(struct config_parser *p, const struct config_certificate *pair);
void config_check_authorities(struct config_parser *p, struct str pem, struct config_place place);
bool config_certificate_covers(struct str pem, struct str hostname);
void config_check_all(struct config_parser *p);
// Builds the groups of client rules; ERR_CORRUPT when an array is not in order.
int config_index(struct config *c);
// "192.168.2.0/24", or the address alone when it is one.
struct str config_network_name(struct arena *arena, const struct ipnet *n);
// Labels of blocks.
int config_open_server(struct config_parser *p, const struct config_token *t, struct str *out);
int config_open_pattern(struct config_parser *p, const struct config_token *t, struct str *out);
int config_open_limit(struct config_parser *p, const struct config_token *t, struct str *out);
int config_open_source(struct config_parser *p, const struct config_token *t, struct str *out);

// ---- password sources
void config_source_close(struct config_parser *p, const struct config_frame *f);
bool config_source_takes(const struct config_setting *s, const void *item);
void config_source_kinds(const struct config_setting *s, struct buf *out); // "" : every kind
void config_check_sources(struct config_parser *p);

// ---- limit "SCOPE" { }
void config_limit_close(struct config_parser *p, const struct config_frame *f);
// Labels and older spellings of all of them together, order, checks.
void config_limit_finish(struct config_parser *p);
void config_limit_sort(struct config *c);
// Does a limit block say the value of this setting (an older spelling), which is not shown then?
bool config_limit_is_by_block(
	enum config_block_id block, const struct config_setting *s, const void *base);
int config_limit_compare(const struct config_limit *a, const struct config_limit *b);
int config_limit_read_label(struct config_limit *l); // makes scope, key and network of it; ERR_SYNTAX
int config_limit_index(struct config *c);            // ERR_CORRUPT when they are not in order
void config_limit_show_value(enum config_limit_id id, uint64_t value, struct buf *out);

// ---- codec: one walk that encodes, decodes or wipes
enum config_codec_mode { CONFIG_ENCODE, CONFIG_DECODE, CONFIG_WIPE };

struct config_codec {
	enum config_codec_mode mode;
	unsigned roles;
	struct buf *out;     // encoding
	struct str rest;     // decoding
	struct arena *arena; // decoding: arrays
	bool corrupt;
};

void config_carry_u64(struct config_codec *c, uint64_t *value, uint64_t least, uint64_t most);
void config_carry_u16(struct config_codec *c, uint16_t *value);
void config_carry_bool(struct config_codec *c, bool *value);
// Enums that are not the choice of a setting. most: the last value.
void config_carry_enum(struct config_codec *c, void *value, unsigned most);
void config_carry_octets(struct config_codec *c, void *data, size_t len);
void config_carry_str(struct config_codec *c, struct str *s);
void config_carry_list(struct config_codec *c, struct config_list *l);
// content only where the reader of the snapshot may see it.
void config_carry_file(struct config_codec *c, struct config_file *f, bool visible);
void config_carry_ipaddr(struct config_codec *c, struct ipaddr *a);
// What the rows of limit do not carry.
void config_carry_limits(struct config_codec *c, struct config *config);
// The count and, when decoding, a zeroed array; each item takes at least one octet.
void config_carry_array(struct config_codec *c, void *items_field, size_t *count, size_t item_size);
void config_carry_block(struct config_codec *c, enum config_block_id id, void *base);

// ---- printing
void config_show_indent(unsigned depth, struct buf *out);
void config_show_setting(
	const struct config_setting *s, unsigned depth, struct buf *out); // "NAME "
void config_show_string(struct str s, struct buf *out);			  // with quotes and escapes
void config_show_list(const struct config_setting *s, const struct config_list *list,
	unsigned depth, struct buf *out);
void config_show_block(enum config_block_id id, const void *base, unsigned depth, struct buf *out);

// ---- values with a host and a port: "HOST:PORT", "ADDRESS:PORT", "[ADDRESS]:PORT".
// Host without brackets; port 0 when none was written. ERR_SYNTAX.
int config_split_port(struct str s, struct str *out_host, uint16_t *out_port);

// ---- words
// What a setting takes: "a size like 50M from 1K to 4G", "one of "no", "yes"".
void config_expected(const struct config_setting *s, struct buf *out);

extern const struct config_type config_type_number, config_type_size, config_type_duration,
	config_type_choice, config_type_offer, config_type_route_recipients, config_type_route_tls, config_type_text,
	config_type_name, config_type_path, config_type_maildir, config_type_hostname,
	config_type_mailbox, config_type_domains, config_type_networks, config_type_relay_domains, config_type_paths, config_type_names, config_type_mechanisms, config_type_phrase,
	config_type_word, config_type_words, config_type_port, config_type_anchors,
	config_type_file, config_type_authorities, config_type_pem, config_type_secret_file,
	config_type_secret_line,
	config_type_ipaddr, config_type_listen, config_type_certificate, config_type_key,
	config_type_pass_phrase, config_type_require, config_type_compat, config_type_log_to,
	config_type_resolver_servers, config_type_route, config_type_route_other,
	config_type_limit_number, config_type_limit_size, config_type_limit_duration, config_type_rate,
	config_type_clients, config_type_relay_from, config_type_include;

static inline void *config_field(const struct config_setting *s, const void *base)
{
	return (char *)base + s->offset;
}

#endif
