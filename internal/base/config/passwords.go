package config

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// passwordSettings are the rows of the table about passwords, and the guessing of
// them.
var passwordSettings = []setting{
	{
		name: "LOCKOUT_AFTER", initial: "5",
		meaning: "After how many wrong passwords in a row on one account a network, or a known device, has to wait: 1 to 10. See " +
			"[guides/passwords.md](guides/passwords.md).",
		field: number(1, 10, " tries", func(c *Config) *int { return &c.LockoutAfter }),
	},
	{
		name: "LOCKOUT_DELAY_SECONDS", initial: "30",
		meaning: "The first wait; each further wrong password doubles it, up to 15 minutes: 1 to 900 seconds.",
		field:   span(1, 900, time.Second, func(c *Config) *time.Duration { return &c.LockoutDelay }),
	},
	{
		name: "PASSWORD_MIN_LENGTH", initial: "15",
		meaning: "The shortest password, in characters: 8 to 64. 15 is NIST's minimum where the password is the only factor (SP 800-63B-4).",
		field:   number(8, 64, " characters", func(c *Config) *int { return &c.PasswordMinLength }),
	},
	{
		name: "PASSWORD_EXPIRE_DAYS", initial: "0",
		meaning: "After how many days a password is valid only for setting a new one: 0 (never) to 3650. NIST advises against it; some auditors ask for it.",
		field:   span(0, 3650, day, func(c *Config) *time.Duration { return &c.PasswordLife }),
	},
	{
		name: "PASSWORD_REQUIRE_UPPERCASE", initial: "false",
		meaning: "`true` refuses new passwords without an uppercase letter. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireUppercase }),
	},
	{
		name: "PASSWORD_REQUIRE_LOWERCASE", initial: "false",
		meaning: "`true` refuses new passwords without a lowercase letter. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireLowercase }),
	},
	{
		name: "PASSWORD_REQUIRE_DIGIT", initial: "false",
		meaning: "`true` refuses new passwords without a digit. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireDigit }),
	},
	{
		name: "PASSWORD_REQUIRE_SYMBOL", initial: "false",
		meaning: "`true` refuses new passwords without a character that is not a letter, digit or space. NIST advises against such rules; " +
			"some auditors ask for them.",
		field: yesNo(func(c *Config) *bool { return &c.PasswordRequireSymbol }),
	},
	{
		name: "PASSWORD_CONTEXT_WORDS", unset: "none",
		meaning: "Words that don't count towards a password, in addition to `gatehouse`, PUBLIC_URL's host, and the person's own name and " +
			"address: your organisation, its " +
			"products, its location. Comma-separated; up to 32 words of 3 to 64 characters.",
		field: field{read: readContextWords, show: func(c *Config) string { return strings.Join(c.PasswordContextWords, ",") }},
	},
	{
		name: "PASSWORD_HASH", initial: "bcrypt",
		meaning: "How passwords are hashed: `bcrypt` or `argon2id`. Those hashed otherwise are rehashed, each at its owner's next sign-in.",
		field:   choice(func(c *Config) *string { return &c.PasswordHash }, nil, "bcrypt", "argon2id"),
	},
	{
		name: "BCRYPT_COST", initial: "12",
		meaning:    "bcrypt's cost: 4 to 16. One more doubles the work of a sign-in, and of a guess.",
		production: "under 12 is refused",
		field:      number(4, 16, "", func(c *Config) *int { return &c.BcryptCost }),
		safe: func(r *reading) {
			if r.c.BcryptCost < 12 {
				r.refuse("It is under 12, the minimum that is safe in production.", "Write 12, or a number up to 16.")
			}
		},
	},
	{
		name: "ARGON2_MEMORY_MIB", initial: "19",
		meaning: "The memory of one argon2id hash: 19 to 1024 MiB. As many are computed at once as there are cores, less one. `gatehouse config calibrate` " +
			"measures what fits.",
		field: number(19, 1024, " MiB", func(c *Config) *int { return &c.Argon2MemoryMiB }),
	},
	{
		name: "ARGON2_PASSES", initial: "2",
		meaning: "How many passes argon2id makes over its memory: 2 to 64.",
		field:   number(2, 64, " passes", func(c *Config) *int { return &c.Argon2Passes }),
	},
	{
		name: "PASSWORD_PEPPER", cover: covered, unset: "none",
		meaning: "Encrypts the stored password hashes under a key that is not in the database: 32 random characters or more. If you lose it, you lose every " +
			"password. See [guides/passwords.md](guides/passwords.md).",
		field: pepper(func(c *Config) *Secret { return &c.PasswordPepper }),
	},
	{
		name: "PASSWORD_PEPPER_PREVIOUS", cover: covered, unset: "none",
		meaning: "The previous pepper, until `gatehouse user repepper` has re-encrypted all hashes under the new one.",
		field:   pepper(func(c *Config) *Secret { return &c.PasswordPepperPrevious }),
	},
	{
		name: "PASSWORD_BREACH", initial: "embedded",
		meaning: "Which passwords are refused because attackers try them first: `embedded`, the common ones in the binary; `file`, those and the ones in " +
			"PASSWORD_BREACH_FILE; " +
			"`api`, those and the ones that PASSWORD_BREACH_API_URL knows; or `off`. See [guides/passwords.md](guides/passwords.md).",
		production: "`off` is warned about",
		field:      choice(func(c *Config) *Breach { return &c.PasswordBreach }, nil, BreachEmbedded, BreachFile, BreachAPI, BreachOff),
		safe: func(r *reading) {
			if r.c.PasswordBreach == BreachOff {
				r.warn("Passwords that attackers try first are accepted.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_FILE", initial: "none", derive: func(*Config) string { return "" },
		meaning: "The filter that `gatehouse breach build` built from Pwned Passwords. It is read again when it is replaced.",
		field:   field{read: func(r *reading) { r.c.PasswordBreachFile = r.value }, show: func(c *Config) string { return c.PasswordBreachFile }},
		check: func(r *reading) {
			switch {
			case r.c.PasswordBreach == BreachFile && r.c.PasswordBreachFile == "":
				r.refuse("It is not set, and PASSWORD_BREACH is file.", "Write the path of a file that `gatehouse breach build` made.")
			case r.c.PasswordBreach != BreachFile && r.c.PasswordBreachFile != "":
				r.warn("It is not read, since PASSWORD_BREACH is not file.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_API_URL", initial: "https://api.pwnedpasswords.com",
		meaning:    "The server that PASSWORD_BREACH=api asks, by the range protocol: it learns five of a hash's 40 digits.",
		production: "https only",
		field:      field{read: readBreachURL, show: func(c *Config) string { return c.PasswordBreachAPIURL }},
		safe: func(r *reading) {
			if !strings.HasPrefix(r.c.PasswordBreachAPIURL, "https://") {
				r.refuse("It is not https: others could read what is sent, and answer that a password is fine.", "Write an https URL, or remove it.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_AWAY", initial: "allow",
		meaning: "What happens to a new password while that server can't be reached: `allow` accepts it unless it is common, `refuse` responds with 503.",
		field:   choice(func(c *Config) *BreachAway { return &c.PasswordBreachAway }, nil, BreachAwayAllow, BreachAwayRefuse),
	},
	{
		name: "PASSWORD_BREACH_AT_SIGN_IN", initial: "true",
		meaning: "Whether a sign-in with the right password is refused if that password has since been breached: its owner has to set a new one.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordBreachAtSignIn }),
	},
}

// The bounds of PASSWORD_CONTEXT_WORDS.
const (
	mostContextWords                    = 32
	shortestContextWord, longestContext = 3, 64
)

// readContextWords reads a list of words: those that a list of common passwords
// can't know, since they are one organisation's (ASVS 6.1.2).
func readContextWords(r *reading) {
	words := strings.Split(r.value, ",")
	for i, w := range words {
		words[i] = strings.TrimSpace(w)
		if n := utf8.RuneCountInString(words[i]); n < shortestContextWord || n > longestContext || !utf8.ValidString(w) {
			r.refuse("Word "+strconv.Itoa(i+1)+" has under 3 characters, or over 64.", "Remove it, or look for an extra comma.")
			return
		}
	}
	if len(words) > mostContextWords {
		r.refuse("There are more than 32 words.", "Name the ones that people would think of first.")
		return
	}
	r.c.PasswordContextWords = words
}
