// SPDX-License-Identifier: ISC
// The one table of administration commands.
#include "control/control.h"

#include "base/str.h"
#include "base/text.h"

const struct control_command control_commands[] = {
	{"status", "master", CONTROL_READ, false, TEXT_MARK("how the server is doing")},
	{"reload", "master", CONTROL_OPERATE, false, TEXT_MARK("read the configuration again")},
	{"stop", "master", CONTROL_ADMIN, false, TEXT_MARK("stop the server")},
	{"queue status", "queue", CONTROL_READ, true, TEXT_MARK("numbers of the queue")},
	{"queue list", "queue", CONTROL_READ, true, TEXT_MARK("list recipients that wait")},
	{"queue show", "queue", CONTROL_READ, true, TEXT_MARK("show one message")},
	{"queue retry", "queue", CONTROL_OPERATE, true, TEXT_MARK("try again now")},
	{"queue hold", "queue", CONTROL_OPERATE, true, TEXT_MARK("keep, do not try")},
	{"queue release", "queue", CONTROL_OPERATE, true, TEXT_MARK("try what was held")},
	{"queue explain", "queue", CONTROL_READ, false, TEXT_MARK("where a recipient would go")},
	{"queue delete", "queue", CONTROL_ADMIN, true, TEXT_MARK("throw away without a report")},
	{"account list", "queue", CONTROL_READ, true, TEXT_MARK("list accounts")},
	{"account show", "queue", CONTROL_READ, true, TEXT_MARK("show one account")},
	{"account add", "queue", CONTROL_ADMIN, true, TEXT_MARK("make an account")},
	{"account enable", "queue", CONTROL_ADMIN, true, TEXT_MARK("let an account log in again")},
	{"account disable", "queue", CONTROL_ADMIN, true, TEXT_MARK("keep an account from logging in")},
	{"account set", "queue", CONTROL_ADMIN, true, TEXT_MARK("say what an account may do")},
	{"account send-as", "queue", CONTROL_ADMIN, true, TEXT_MARK("say as whom an account may send")},
	{"address add", "queue", CONTROL_ADMIN, true, TEXT_MARK("make an alias")},
	{"address remove", "queue", CONTROL_ADMIN, true, TEXT_MARK("remove an alias, or what it leads to")},
	{"address list", "queue", CONTROL_READ, true, TEXT_MARK("list aliases")},
	{"address show", "queue", CONTROL_READ, true, TEXT_MARK("show one alias")},
	{"address explain", "queue", CONTROL_READ, false, TEXT_MARK("tell what an address becomes")},
	{"domain alias add", "queue", CONTROL_ADMIN, true, TEXT_MARK("make a domain another name of ours")},
	{"domain alias remove", "queue", CONTROL_ADMIN, true, TEXT_MARK("take the other name away")},
	{"domain alias list", "queue", CONTROL_READ, true, TEXT_MARK("list other names of domains")},
	{"account group add", "queue", CONTROL_ADMIN, true, TEXT_MARK("make a group of accounts")},
	{"account group set", "queue", CONTROL_ADMIN, true, TEXT_MARK("say what a group may do")},
	{"account group remove", "queue", CONTROL_ADMIN, true, TEXT_MARK("remove a group")},
	{"account group list", "queue", CONTROL_READ, true, TEXT_MARK("list groups")},
	{"account remove", "queue", CONTROL_ADMIN, true, TEXT_MARK("remove an account")},
	{"secret set", "auth", CONTROL_ADMIN, true, TEXT_MARK("set the password of an account")},
	{"secret remove", "auth", CONTROL_ADMIN, true, TEXT_MARK("forget the password of an account")},
	{"secret show", "auth", CONTROL_READ, true, TEXT_MARK("how an account can log in, and did last")},
	{"secret hash", "auth", CONTROL_ADMIN, true, TEXT_MARK("set the hash of a password made elsewhere")},
	{"secret seal", "auth", CONTROL_ADMIN, true, TEXT_MARK("keep a password so that it can be read again")},
	{"secret unseal", "auth", CONTROL_ADMIN, true, TEXT_MARK("forget the password that can be read again")},
	{"secret otp", "auth", CONTROL_ADMIN, true, TEXT_MARK("make one-time passwords of a pass phrase")},
	{"secret otp remove", "auth", CONTROL_ADMIN, true, TEXT_MARK("forget the one-time passwords")},
	{"application add", "auth", CONTROL_ADMIN, true, TEXT_MARK("make an application password")},
	{"application list", "auth", CONTROL_READ, true, TEXT_MARK("list application passwords")},
	{"application remove", "auth", CONTROL_ADMIN, true, TEXT_MARK("take an application password away")},
	{"secret lacking", "auth", CONTROL_READ, true, TEXT_MARK("which accounts have no SCRAM keys")},
	{"auth sources", "auth", CONTROL_READ, false, TEXT_MARK("password sources that are passed over")},
	{"auth blocks list", "auth", CONTROL_READ, false, TEXT_MARK("who is taken for a guesser")},
	{"auth blocks clear", "auth", CONTROL_OPERATE, false, TEXT_MARK("let somebody in again")},
	{"quota list", "queue", CONTROL_READ, true, TEXT_MARK("quotas, and how full mailboxes are")},
	{"quota show", "queue", CONTROL_READ, true, TEXT_MARK("the quota of one mailbox or domain")},
	{"quota set", "queue", CONTROL_ADMIN, true, TEXT_MARK("say how full a mailbox may become")},
	{"quota recount", "queue", CONTROL_OPERATE, false, TEXT_MARK("count what mailboxes hold")},
	{"guard list", "queue", CONTROL_READ, true, TEXT_MARK("who sends unusual mail")},
	{"guard show", "queue", CONTROL_READ, true, TEXT_MARK("what the guard knows of one who sends")},
	{"guard release", "queue", CONTROL_OPERATE, false, TEXT_MARK("it was right: let what is held go")},
	{"guard discard", "queue", CONTROL_ADMIN, false, TEXT_MARK("throw away, or send back, what is held")},
	{"guard allow", "queue", CONTROL_OPERATE, false, TEXT_MARK("let it send again")},
	{"guard learn", "queue", CONTROL_OPERATE, false, TEXT_MARK("only look on for a while")},
	{"guard profile", "queue", CONTROL_OPERATE, false, TEXT_MARK("say what kind of sender it is")},
	{"guard seed", "queue", CONTROL_OPERATE, false, TEXT_MARK("say whom it writes to")},
	{"limits", "queue", CONTROL_READ, true, TEXT_MARK("show limits in force, and what rates have counted")},
	{"limits reset", "queue", CONTROL_OPERATE, true, TEXT_MARK("let a rate count from nothing")},
	{"trace", "queue", CONTROL_READ, true, TEXT_MARK("tell the story of a message or an address")},
};
const size_t control_command_count = ARRAY_SIZE(control_commands);

const struct control_command *control_command_find(const char *name)
{
	for (size_t i = 0; i < control_command_count; i++)
		if (!strcmp(control_commands[i].name, name))
			return &control_commands[i];
	return NULL;
}
