package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Exposed says who else may read or write a file with a secret, or a folder with
// secrets, as the end of a sentence about it; or nothing (ASVS V13.3.2). It knows no
// modes on systems that have none.
//
// What Docker and Kubernetes mount is readable by all within the container, and only
// there: of those no more is asked than that others can't write to them. Changeable is
// set where others can do that.
func Exposed(path string) (why string, changeable bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false // opening it will report that
	}
	why = exposedTo(info, mounted(path))
	return why, why != "" && why != readable
}

const readable = "may be read by every user of this machine"

func exposedTo(info fs.FileInfo, mounted bool) string {
	mode := info.Mode().Perm()
	if !hasOwners {
		return ""
	}
	switch {
	case mode&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return "may be written by every user of this machine"
	case mounted:
		return ""
	case info.IsDir():
		// Who may list it learns names; the files have modes of their own.
	case mode&0o020 != 0:
		return "may be written by its whole group"
	}
	if owner, me := ownerOf(info), os.Geteuid(); !mounted && me != 0 && owner != 0 && owner != me {
		return "belongs to another user, who may change it"
	}
	if !mounted && !info.IsDir() && mode&0o004 != 0 {
		return readable
	}
	return ""
}

// generation is a folder that Kubernetes swaps a volume of secrets by.
var generation = regexp.MustCompile(`(^|/)\.\.[0-9]{4}_`)

// mounted reports whether a path leads into what a container's platform mounts.
func mounted(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	if real, err = filepath.Abs(real); err != nil {
		return false
	}
	return strings.HasPrefix(real, "/run/secrets/") || generation.MatchString(real)
}

// judgeSecretFile refuses in production a file that others can get at, and warns of it
// in development.
func (r *reading) judgeSecretFile(path string) {
	if r.exposed == nil || path == "" {
		return
	}
	why, changeable := r.exposed(path)
	if why == "" || r.setting.inFile && r.setting.cover == open && !changeable {
		return // that anybody may read it is no harm
	}
	name := strings.TrimSuffix(r.setting.name, "_FILE") + "_FILE"
	if !r.c.Production() {
		r.warnings = append(r.warnings, name+": The file that it names "+why+". Production refuses that.")
		return
	}
	r.faults = append(r.faults, Fault{Setting: name, Source: r.source, Problem: "The file that it names " + why + ".", Mend: mendExposed})
}

const mendExposed = "Make it readable only by the user who runs Gatehouse: chown, and chmod 600. Replace the secret if someone else may have seen it."

// judgeEnvFile does the same for a .env file in which there is a secret; but of one that
// others may only read it warns in production too, since that is how a .env file is made
// by most, and the guide's template is to start.
func (c *Config) judgeEnvFile(in *input) *Fault {
	if in.exposed == nil || len(in.envFile) == 0 || !in.envFileHasSecret() {
		return nil
	}
	why, changeable := in.exposed(in.envPath)
	switch {
	case why == "":
		return nil
	case !changeable:
		if c.Production() {
			c.Warnings = append(c.Warnings, "The .env file holds a secret, and "+why+". Keep it to the user who runs Gatehouse: chmod 600.")
		}
		return nil
	case !c.Production():
		c.Warnings = append(c.Warnings, "The .env file holds a secret, and "+why+". Production refuses that.")
		return nil
	}
	return &Fault{Setting: ".env", Problem: "It holds a secret, and " + why + ".", Mend: mendExposed}
}

// envFileHasSecret reports whether a secret is in the file, a URL's password among
// them.
func (in *input) envFileHasSecret() bool {
	for _, s := range table {
		value := in.envFile[s.name]
		if s.cover == covered && value != "" || s.cover == passwordCovered && strings.Contains(value, "@") {
			return true
		}
	}
	return false
}
