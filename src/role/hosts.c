// SPDX-License-Identifier: ISC
#include "role/hosts.h"

#include "base/file.h"
#include "base/ipaddr.h"
#include "ipc/messages.h"

#include <sys/stat.h>

#define HOSTS "/etc/hosts"
#define HOSTS_MAX (4u * 1024 * 1024)

void hosts_refresh(struct hosts *h)
{
	struct stat st;
	if (stat(HOSTS, &st) < 0) {
		buf_release(&h->text);
		h->inode = 0;
		return;
	}
	uint64_t changed = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
	if (st.st_ino == h->inode && changed == h->changed_ns)
		return;
	buf_release(&h->text);
	if (file_read_all(HOSTS, &h->text, HOSTS_MAX, NULL) == 0) {
		h->inode = st.st_ino;
		h->changed_ns = changed;
	}
}

static bool next_word(struct str *line, struct str *out)
{
	size_t i = 0, start;
	while (i < line->len && (line->data[i] == ' ' || line->data[i] == '\t' || line->data[i] == '\r'))
		i++;
	start = i;
	while (i < line->len && line->data[i] != ' ' && line->data[i] != '\t' && line->data[i] != '\r')
		i++;
	*out = str_slice(*line, start, i);
	*line = str_skip(*line, i);
	return out->len > 0;
}

bool hosts_lookup(const struct hosts *h, struct str name, int family, struct buf *records)
{
	struct str rest = buf_str(&h->text), line, word;
	bool found = false;
	if (str_ends_nocase(name, STR(".")))
		name.len--;
	while (str_split(&rest, '\n', &line)) {
		ptrdiff_t comment = str_find(line, '#');
		if (comment >= 0)
			line.len = (size_t)comment;
		struct ipaddr address;
		if (!next_word(&line, &word) || ipaddr_parse(word, &address))
			continue;
		while (next_word(&line, &word)) {
			if (!str_equal_nocase(word, name))
				continue;
			struct ipc_record record = {
				.rdata = str_make(address.octets, address.family == 4 ? 4 : 16)};
			found = true;
			if (address.family == family)
				(void)ipc_list_add_record(records, &record);
			break;
		}
	}
	return found;
}
