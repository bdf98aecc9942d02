package config

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// cover says how much of a value may be shown.
type cover uint8

const (
	open            cover = iota // all of it
	passwordCovered              // all but the password in a URL
	covered                      // nothing
)

// setting is a row of the table.
type setting struct {
	// name is the variable's.
	name string
	// initial is the default as an operator would write it. Where it hangs on
	// other settings, derive returns it and initial describes it for the docs.
	initial string
	derive  func(*Config) string
	// followsListener is for a derived default that names the listener's port.
	followsListener bool
	// unset is what the report shows for a setting that is not set and has no
	// default.
	unset string
	// meaning and production are for the docs: what the setting does, and what
	// is different in production.
	meaning, production string
	cover               cover
	// inFile: the value may stand in the file that NAME_FILE names, as that of every
	// covered setting may. Only then may it have several lines.
	inFile bool
	// field is where the value goes.
	field field
	// check is run in every environment, safe in production only. They may
	// count on the field being read, and on those of the rows above unless
	// these are at fault.
	check, safe func(*reading)
}

// trim takes off the spaces around a value. Around a secret they may belong to
// it; they are left for its reader to refuse.
func (s *setting) trim(value string) string {
	if s.cover == covered {
		return value
	}
	return strings.TrimSpace(value)
}

// field joins a row to a field of Config.
type field struct {
	// read takes the reading's value into the field, or refuses it.
	read func(*reading)
	// show returns the field as an operator would write it.
	show func(*Config) string
}

// reading is one setting while it is judged.
type reading struct {
	c       *Config
	setting *setting
	// value is what was found, or the default; source says where.
	value, source string
	// placeholder is set when the value holds one; unread when there is no
	// telling what it means.
	placeholder, unread bool
	faults              []Fault
	warnings            []string
	// exposed says who else gets at a file; nil where files are not the system's.
	exposed func(path string) (why string, changeable bool)
}

func (r *reading) refuse(problem, mend string) {
	r.faults = append(r.faults, Fault{Setting: r.setting.name, Source: r.source, Problem: problem, Mend: mend})
}

func (r *reading) warn(format string, args ...any) {
	r.warnings = append(r.warnings, r.setting.name+": "+fmt.Sprintf(format, args...))
}

// printable refuses what no setting can hold.
func (r *reading) printable() bool {
	ok := utf8.ValidString(r.value) && strings.IndexFunc(r.value, unicode.IsControl) < 0
	if !ok {
		r.refuse("It contains a character that can't be printed: a line break, a tab, or bytes that are not UTF-8.", "Write it again, on one line.")
	}
	return ok
}

// number is a field that holds a whole number.
func number(least, most int, unit string, at func(*Config) *int) field {
	return field{
		read: func(r *reading) {
			if n, ok := r.whole(least, most, unit); ok {
				*at(r.c) = n
			}
		},
		show: func(c *Config) string { return strconv.Itoa(*at(c)) },
	}
}

// units are the units of time that settings are written in.
var units = map[time.Duration]string{
	time.Second: " seconds", time.Minute: " minutes", time.Hour: " hours", day: " days",
}

const day = 24 * time.Hour

// span is a field that holds a length of time, written as a whole number of
// units.
func span(least, most int, unit time.Duration, at func(*Config) *time.Duration) field {
	return field{
		read: func(r *reading) {
			if n, ok := r.whole(least, most, units[unit]); ok {
				*at(r.c) = time.Duration(n) * unit
			}
		},
		show: func(c *Config) string { return strconv.FormatInt(int64(*at(c)/unit), 10) },
	}
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// whole returns the value as a number between the bounds, or refuses it. The
// unit begins with a space, unless there is none.
func (r *reading) whole(least, most int, unit string) (int, bool) {
	// A number too large for an int comes back as the largest one.
	n, _ := strconv.Atoi(r.value)
	mend := fmt.Sprintf("Write a number from %d to %d.", least, most)
	switch {
	case !wholeNumber.MatchString(r.value):
		r.refuse("It is not a whole number, in digits only.", mend)
	case n < least || n > most:
		r.refuse(fmt.Sprintf("It is not within %d to %d%s.", least, most, unit), mend)
	default:
		return n, true
	}
	return 0, false
}

// choice is a field that holds one of a few words, in any case. Those that are
// planned are refused with that reason.
func choice[T ~string](at func(*Config) *T, planned []T, words ...T) field {
	return field{
		read: func(r *reading) {
			if word, ok := choose(r, planned, words); ok {
				*at(r.c) = word
			}
		},
		show: func(c *Config) string { return string(*at(c)) },
	}
}

// yesNo is a field that holds true or false, in any case, or what other programs
// write for that.
func yesNo(at func(*Config) *bool) field {
	return field{
		read: func(r *reading) {
			switch strings.ToLower(r.value) {
			case "1", "yes", "on":
				*at(r.c) = true
			case "0", "no", "off":
				*at(r.c) = false
			default:
				if word, ok := choose(r, nil, []string{"true", "false"}); ok {
					*at(r.c) = word == "true"
				}
			}
		},
		show: func(c *Config) string { return strconv.FormatBool(*at(c)) },
	}
}

// mustBeTrue is the production rule of a field that protects.
func mustBeTrue(is func(*Config) bool, why string) func(*reading) {
	return func(r *reading) {
		if !is(r.c) {
			r.refuse(why, "Write true, or remove it.")
		}
	}
}

func choose[T ~string](r *reading, planned, words []T) (T, bool) {
	names := make([]string, len(words))
	for i, word := range words {
		if strings.EqualFold(r.value, string(word)) {
			return word, true
		}
		names[i] = string(word)
	}
	mend := "Write " + strings.Join(names, " or ") + "."
	if len(names) > 2 {
		mend = "Write one of " + strings.Join(names, ", ") + "."
	}
	for _, word := range planned {
		if strings.EqualFold(r.value, string(word)) {
			r.refuse(fmt.Sprintf("%s is not built yet.", word), mend)
			return "", false
		}
	}
	r.refuse("It is not one of this setting's values.", mend)
	return "", false
}

// logLevels are the names under which the levels are set and shown.
var logLevels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARNING": slog.LevelWarn, "ERROR": slog.LevelError,
}

// level is a field that holds the level of the log, in any case. The log itself
// writes WARN.
func level() field {
	return field{
		read: func(r *reading) {
			if strings.EqualFold(r.value, "WARN") {
				r.value = "WARNING"
			}
			if word, ok := choose(r, nil, []string{"DEBUG", "INFO", "WARNING", "ERROR"}); ok {
				r.c.LogLevel = logLevels[word]
			}
		},
		show: func(c *Config) string {
			for name, l := range logLevels {
				if l == c.LogLevel {
					return name
				}
			}
			return c.LogLevel.String()
		},
	}
}

// claim is a field that holds a StringOrURI (RFC 7519 section 2), in ASCII.
func claim(at func(*Config) *string) field {
	return field{
		read: func(r *reading) {
			for _, b := range []byte(r.value) {
				if b <= ' ' || b > '~' || b == ',' || b == '"' || b == '\\' {
					r.refuse("It is not a single name or URL: it contains a space, a comma, a quotation mark, a backslash, or a letter outside ASCII.", "Write a URL, such "+
						"as the value of PUBLIC_URL.")
					return
				}
			}
			if len(r.value) > 255 {
				r.refuse("It is over 255 characters, and every token carries it.", "Write a shorter one.")
				return
			}
			*at(r.c) = r.value
		},
		show: func(c *Config) string { return *at(c) },
	}
}
