// SPDX-License-Identifier: ISC
#include "role/confine.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int confine_find_user(const char *name, struct confine_user *out, struct error *err)
{
	errno = 0;
	const struct passwd *pw = getpwnam(name);
	if (!pw)
		return error_set(err, ERR_NOT_FOUND,
			TEXT("the system has no user \"%s\"; `./dev install` makes the users of Pabal"),
			name);
	if (pw->pw_uid == 0)
		return error_set(err, ERR_DENIED, TEXT("the user \"%s\" must not be root"), name);
	*out = (struct confine_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	return 0;
}

int confine_find_groups(const char *name, struct confine_user *user, struct error *err)
{
	user->group_count = CONFINE_GROUPS_MAX;
	if (getgrouplist(name, user->gid, user->groups, &user->group_count) >= 0)
		return 0;
	user->group_count = 0;
	return error_set(err, ERR_LIMIT, TEXT("the user \"%s\" is in more than %d groups"), name,
		CONFINE_GROUPS_MAX);
}

int confine_become(const struct confine_user *user, struct error *err)
{
	if (setgroups((size_t)user->group_count, user->groups) < 0)
		return error_system(err, TEXT("cannot give up supplementary groups"));
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return error_system(err, TEXT("cannot become group %u"), (unsigned)user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return error_system(err, TEXT("cannot become user %u"), (unsigned)user->uid);
	// A kernel or container that lets us say it but not mean it must not go unnoticed.
	if (setuid(0) == 0 || geteuid() != user->uid || getegid() != user->gid)
		return error_set(err, ERR_DENIED, TEXT("could still become root again"));
	return 0;
}

static int enter_empty_root(const char *folder, struct error *err)
{
	struct stat st;
	if (lstat(folder, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), folder);
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		return error_set(err, ERR_DENIED,
			TEXT("%s must be a folder of root that nobody else can write to"), folder);
	if (chroot(folder) < 0 || chdir("/") < 0)
		return error_system(err, TEXT("cannot make %s the root folder"), folder);
	return 0;
}

// Libraries seed their nonces from here (libsasl2), and from the clock when they cannot.
static void allow_random(int ruleset)
{
	struct landlock_path_beneath_attr random = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = open("/dev/urandom", O_PATH | O_CLOEXEC),
	};
	if (random.parent_fd < 0)
		return; // whoever needs it says so
	(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &random, 0);
	close(random.parent_fd);
}

// Landlock has no library. A kernel without it is no reason not to run: the user's rights still
// hold, and `pabal status` is not the place where a kernel is judged.
static int restrict_to_folder(int folder, struct error *err)
{
	uint64_t known = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		LANDLOCK_ACCESS_FS_MAKE_SYM;
	struct landlock_ruleset_attr rules = {.handled_access_fs = known};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 :
			error_system(err, TEXT("cannot make Landlock rules"));
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = known & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE |
			LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK),
		.parent_fd = folder,
	};
	int result = 0;
	if (folder >= 0)
		allow_random(ruleset);
	if ((folder >= 0 &&
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0) ||
		syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		result = error_system(err, TEXT("cannot apply Landlock rules"));
	close(ruleset);
	return result;
}

static int forbid_dumps(struct error *err)
{
	struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return error_system(err, TEXT("cannot switch core files off"));
	// The leak checker of sanitized builds has to trace its own process.
	if (!PABAL_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_system(err, TEXT("cannot forbid tracing"));
	return 0;
}

int confine(const struct confine_plan *plan, struct error *err)
{
	const struct role *role = plan->role;
	int result = 0;
	if (plan->as_root && role->root == ROLE_ROOT_EMPTY)
		result = enter_empty_root(plan->empty_folder, err);
	// Who holds the state talks to nobody outside. A container may forbid it: then all else holds.
	if (!result && plan->as_root && role->root == ROLE_ROOT_STATE)
		(void)unshare(CLONE_NEWNET);
	if (!result && plan->as_root && role->user && !role->keeps_root)
		result = confine_become(&plan->user, err);
	if (!result && !role->keeps_root && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		result = error_system(err, TEXT("cannot forbid new privileges"));
	if (!result && role->root == ROLE_ROOT_STATE && plan->state_folder < 0)
		result = error_set(err, ERR_DENIED, TEXT("master gave no state folder to be confined to"));
	if (!result && role->root == ROLE_ROOT_STATE)
		result = restrict_to_folder(plan->state_folder, err);
	// Last: becoming another user sets the flag back.
	if (!result)
		result = forbid_dumps(err);
	return result;
}

int confine_renounce(struct error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	// Without this a root that starts a program would get everything back.
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_system(err, TEXT("cannot forbid new privileges"));
	if (syscall(SYS_capset, &header, none) < 0)
		return error_system(err, TEXT("cannot give up capabilities"));
	// Many files are root's own, capabilities or not.
	return restrict_to_folder(-1, err);
}

static uint64_t bits_of(const unsigned *capabilities, size_t count)
{
	uint64_t bits = 0;
	for (size_t i = 0; i < count; i++)
		bits |= 1ULL << capabilities[i];
	return bits;
}

// bound: what programs that are set-id or run as root may have at most. kept: what we have.
static int keep_capabilities(uint64_t bound, uint64_t kept, struct error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3] = {0};
	uint64_t held;
	for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
		if (!(bound & 1ULL << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL)
			return error_system(err, TEXT("cannot bound capabilities"));
	if (syscall(SYS_capget, &header, now) < 0)
		return error_system(err, TEXT("cannot look at capabilities"));
	held = now[0].permitted | (uint64_t)now[1].permitted << 32;
	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		now[i].permitted = now[i].effective = (uint32_t)((held & kept) >> (32 * i));
		now[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, now) < 0)
		return error_system(err, TEXT("cannot give up capabilities"));
	return 0;
}

int confine_to_checks(struct error *err)
{
	static const unsigned kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
		CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_AUDIT_WRITE};
	uint64_t bits = bits_of(kept, ARRAY_SIZE(kept));
	return keep_capabilities(bits, bits, err);
}

int confine_to_deliveries(struct error *err)
{
	static const unsigned kept[] = {CAP_KILL, CAP_SETGID, CAP_SETUID};
	static const unsigned bound[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
		CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID};
	return keep_capabilities(
		bits_of(bound, ARRAY_SIZE(bound)), bits_of(kept, ARRAY_SIZE(kept)), err);
}
