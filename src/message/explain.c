// SPDX-License-Identifier: ISC
#include "message/explain.h"

static const struct explanation explanations[] = {
	{"1.1", "There is no such mailbox at that domain.",
		"Check the spelling of the part before the @. If it is right, ask the recipient "
		"in another way whether the address is still in use."},
	{"1.2", "The domain of the address does not exist or has no mail server.",
		"Check the spelling of the part behind the @."},
	{"1.3", "The address is not written as a mail address must be.",
		"Check the address for missing or stray characters."},
	{"1.6", "The recipient has moved and left no new address.",
		"Ask the recipient in another way for the new address."},
	{"1.7", "Your own address was not accepted as a sender.",
		"Check which sender address your mail program uses."},
	{"1.8", "Your own address was not accepted: its domain could not be found.",
		"Check which sender address your mail program uses."},
	{"1.10", "The domain of the address takes no mail at all.",
		"Check the spelling of the part behind the @, or ask the recipient for another "
		"address."},
	{"2.1", "The mailbox is closed or takes no messages.",
		"Ask the recipient in another way for another address."},
	{"2.2", "The mailbox is full.",
		"Send the message again later, or tell the recipient in another way that the "
		"mailbox is full."},
	{"2.3", "The message is larger than the mailbox takes.",
		"Make the message smaller, or pass large attachments on in another way."},
	{"3.1", "The disk of the recipient's mail system is full.",
		"Send the message again later."},
	{"3.4", "The message is larger than the recipient's mail system takes.",
		"Make the message smaller, or pass large attachments on in another way."},
	{"4.1", "No mail server of the recipient's domain answered.",
		"Send the message again later. If it goes on, tell the recipient in another way "
		"that the mail server cannot be reached."},
	{"4.2", "The connection to the recipient's mail server broke off.",
		"Send the message again later. If it goes on, tell your postmaster."},
	{"4.3", "A service that is needed to find the way to the recipient did not answer.",
		"Send the message again later. If it goes on, tell your postmaster."},
	{"4.4", "No way to the recipient's mail server could be found.",
		"Check the spelling of the part behind the @. If it is right, tell your "
		"postmaster."},
	{"4.6", "The message went in a circle between mail servers and was stopped.",
		"You cannot mend this yourself: send this report to your postmaster."},
	{"4.7", "The message was tried again and again until the time set for it ran out.",
		"Send the message again later, or tell the recipient in another way that mail "
		"does not reach them."},
	{"6.0", "Something in the form of the message was not accepted.",
		"Send it again with another mail program, or send this report to your "
		"postmaster."},
	{"6.7",
		"The message needs a mail server that takes international addresses, and the "
		"recipient's does not.",
		"Use addresses with plain Latin letters for this recipient."},
	{"7.8", "Our mail server could not log in at the next one.",
		"You cannot mend this yourself: send this report to your postmaster."},
	{"7.10",
		"The recipient's mail system asks for a protected connection that could not be "
		"made.",
		"You cannot mend this yourself: send this report to your postmaster."},
	{"7.20", "The signature of the message was missing or did not verify (DKIM).",
		"Send this report to the postmaster of your own domain."},
	{"7.23", "Our mail server may not send for your domain (SPF).",
		"Send this report to the postmaster of your own domain."},
	{"7.26",
		"The recipient's mail system could not verify that the message is from your "
		"domain.",
		"Send this report to the postmaster of your own domain."},
	// Whole subjects, for details that are not above.
	{"1", "There is something wrong with the address.", "Check the spelling of the address."},
	{"2", "The recipient's mailbox could not take the message.",
		"Ask the recipient in another way, or send the message again later."},
	{"3", "The recipient's mail system could not take the message.",
		"Send the message again later. If it goes on, tell your postmaster."},
	{"4", "The message could not be brought to the recipient's mail server.",
		"Send the message again later. If it goes on, tell your postmaster."},
	{"5", "The mail servers did not understand each other.",
		"You cannot mend this yourself: send this report to your postmaster."},
	{"6", "The content of the message was not accepted.",
		"Send it again in another form, for example as plain text without attachments."},
	{"7", "The recipient's mail system refused the message by one of its rules.",
		"Read what it said above. The postmaster of the recipient's domain can say why, "
		"and can allow it."},
};

static const struct explanation unknown = {"", "The mail system gave no closer reason.",
	"Read what it said above, or send this report to your postmaster."};

static const struct explanation *find(struct str code)
{
	for (size_t i = 0; i < ARRAY_SIZE(explanations); i++)
		if (str_equal(code, str_from(explanations[i].code)))
			return &explanations[i];
	return NULL;
}

const struct explanation *explain_status(struct str status)
{
	struct str rest = status, part, subject;
	const struct explanation *found;

	if (!str_split(&rest, '.', &part) || !rest.data)
		return &unknown;
	found = find(rest);
	if (!found && str_split(&rest, '.', &subject))
		found = find(subject);
	return found ? found : &unknown;
}
