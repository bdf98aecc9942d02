package config

import (
	"fmt"
	"strings"
)

const docsHead = "# Settings\n\n" +
	"<!-- Made from the table in internal/base/config. Rewrite it with: go test ./internal/base/config -run TestDocs -update -->\n\n" +
	"`gatehouse config` shows the settings in force and where each came from, secrets masked.\n\n"

const docsTail = `
## How they are read

Settings are read from the environment first, then from the file ` + "`.env`" + ` in the working directory, if there is one.
` + "`--env-file PATH`" + ` names another file, which must then exist. An empty setting counts as not set. Spaces around a value are dropped,
except around a secret.

In the .env file each line is ` + "`NAME=value`" + `. A value may be quoted, and must be if it contains a space before a ` + "`#`" + `, which begins
a comment. In single quotes it is taken literally; in double quotes a backslash makes ` + "`\\n`" + ` a line break and any other
character itself. A ` + "`$`" +
	` is a dollar sign: variables are not expanded. If a name is there twice, the last one counts. A name that is
not a setting is ignored, with a warning that names the nearest one; so is one in the environment that is one letter off a
setting's, or has a prefix that only Gatehouse uses.

Where the table says so, ` + "`NAME_FILE`" + ` may name a file that holds the value, such as a Docker or Kubernetes secret; line breaks at its
end are dropped. The environment's ` + "`NAME`" + ` or ` + "`NAME_FILE`" + ` takes precedence over either in .env; both in one place are
an error. The .env file and those of secrets may be up to 64 KiB each.

## What is refused

In any environment Gatehouse refuses to start with a setting that it can't read. It then lists every fault at once, each with its fix, and
exits with code 78. With ` + "`ENVIRONMENT=production`" + ` it also refuses what the table's third column says, and any value that still contains a
placeholder: ` + "`CHANGE_THIS`" + `, ` + "`STRONG_PASSWORD`" + `, ` + "`db_user`" + `, ` + "`yourdomain.com`" + `, ` + "`example.com`" +
	`, ` + "`your-…-here`" + `, ` + "`<…>`" + ` and the like.
Faults and warnings never repeat a secret.

JWT_SECRET_KEY must have 32 characters or more, no placeholder, and %d bits or more, in every environment; in production a
PostgreSQL password must have 12 characters or more and %d bits. The bits are an estimate: a text that repeats one piece
counts as that piece; a common word, four or more characters in sequence or adjacent on the keyboard, and four or more that occurred
before count %d bits each, however long; every other character counts the Shannon entropy of all of these together.
`

// Markdown returns docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("| setting | default | in production | meaning |\n|---|---|---|---|\n")
	for _, s := range table {
		initial, meaning := "`"+s.initial+"`", s.meaning
		if s.initial == "" {
			initial = s.unset
		}
		if s.cover != open {
			meaning += " `" + s.name + "_FILE` may name a file that holds it."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, initial, s.production, meaning)
	}
	fmt.Fprintf(&b, docsTail, secretKeyBits, passwordBits, pieceBits)
	return b.String()
}
