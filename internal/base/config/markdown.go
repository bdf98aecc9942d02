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

From the environment first, then from the file ` + "`.env`" + ` in the working directory, if there is one. ` + "`--env-file PATH`" + ` names another file,
which must then exist. A setting that is set to nothing counts as not set. Spaces around a value are dropped, except around a secret.

In the .env file each line is ` + "`NAME=value`" + `. A value may stand in quotation marks, and must if it holds a space before a ` + "`#`" + `, which begins
a comment. Between single ones it is taken as it stands; between double ones a backslash makes ` + "`\\n`" + ` a line break and any other
character itself. A ` + "`$`" +
	` is a dollar: names of variables are not replaced by their values. If a name stands there twice, the last counts. A name that is
not a setting is ignored with a warning that tells the nearest one; so is one in the environment that is one letter off a
setting's, or begins as only Gatehouse's do.

Where the table says so, ` + "`NAME_FILE`" + ` may name a file that holds the value, such as a Docker or Kubernetes secret; line breaks at its
end are dropped. The environment's ` + "`NAME`" + ` or ` + "`NAME_FILE`" + ` comes before either in .env; both in one place are a fault. The .env file and those
of secrets may have 64 KiB each.

## What is refused

Gatehouse starts on no setting that it can't read, in any environment. It then lists every fault at once, each with its mend, and
exits with 78. With ` + "`ENVIRONMENT=production`" + ` it also refuses what the table's third column says, and any value that still holds a
placeholder: ` + "`CHANGE_THIS`" + `, ` + "`STRONG_PASSWORD`" + `, ` + "`db_user`" + `, ` + "`yourdomain.com`" + `, ` + "`example.com`" +
	`, ` + "`your-…-here`" + `, ` + "`<…>`" + ` and the like.
Faults and warnings never repeat a secret.

JWT_SECRET_KEY must have 32 characters or more, no placeholder, and %d bits or more, in every environment; in production a
PostgreSQL password must have 12 characters or more and %d bits. The bits are an estimate: a text that is one piece over and over
counts as that piece; a common word, four or more characters in sequence or side by side on the keyboard, and four or more that stood
before count %d bits each, however long; every other character counts the Shannon entropy of all of these together.

## Known, but not in this version

These names are reserved. Setting one refuses the start, so that nobody counts on what is not there:

`

// Markdown returns docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("| setting | default | in production | meaning |\n|---|---|---|---|\n")
	var absent []string
	for _, s := range table {
		if s.field.read == nil {
			absent = append(absent, "`"+s.name+"`")
			continue
		}
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
	b.WriteString(strings.Join(absent, ", ") + ".\n")
	return b.String()
}
