package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Where a value came from.
const (
	FromDefault     = "default"
	FromEnvironment = "environment"
	FromEnvFile     = ".env"
	FromFile        = "file"
)

// maxFile is the most bytes that are read of a .env file or a secret's file.
const maxFile = 64 << 10

// Source is where settings are read from. The environment comes before the
// .env file.
type Source struct {
	// Environ is the environment, as os.Environ returns it.
	Environ []string
	// EnvFile is the path of the .env file. If empty, it is .env in the working
	// directory, which need not exist; a file that is named must.
	EnvFile string
	// ReadFile reads a whole file; nil is for the operating system's.
	ReadFile func(path string) ([]byte, error)
}

// input is what was found in the sources.
type input struct {
	environ, envFile map[string]string
	readFile         func(string) ([]byte, error)
	// broken is why the .env file can't be used, if so.
	broken *Fault
	// envPath is the .env file, and secretFiles the files that secrets were read from,
	// by setting.
	envPath     string
	secretFiles map[string]string
	// exposed says who else gets at a file; nil if files are not the system's.
	exposed func(path string) (why string, changeable bool)
}

func gather(from Source) *input {
	in := &input{environ: map[string]string{}, secretFiles: map[string]string{}, readFile: from.ReadFile, envPath: from.EnvFile}
	if in.envPath == "" {
		in.envPath = ".env"
	}
	if in.readFile == nil {
		in.readFile, in.exposed = readFile, Exposed
	}
	for _, line := range from.Environ {
		name, value, _ := strings.Cut(line, "=")
		// The first of two counts, as it does for getenv.
		if _, twice := in.environ[name]; !twice {
			in.environ[name] = value
		}
	}
	in.envFile, in.broken = readEnvFile(from.EnvFile, in.readFile)
	return in
}

// readFile reads a file of at most maxFile bytes. It reads pipes too, and does
// not wait forever on a device.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return b, errors.Join(err, f.Close())
}

// find returns a setting's value and where it came from. Empty is unset.
func (in *input) find(s *setting) (value, source string, fault *Fault) {
	for _, place := range []struct {
		values map[string]string
		source string
	}{{in.environ, FromEnvironment}, {in.envFile, FromEnvFile}} {
		value = s.trim(place.values[s.name])
		path := ""
		if s.cover != open || s.inFile {
			path = place.values[s.name+"_FILE"]
		}
		switch {
		case value != "" && path != "":
			return "", "", &Fault{
				Setting: s.name, Source: place.source,
				Problem: fmt.Sprintf("%s and %s_FILE are both set, and only one can take effect.", s.name, s.name),
				Mend:    "Remove one of the two.",
			}
		case value != "":
			return value, place.source, nil
		case path != "":
			if value, fault = in.fromFile(s, path); fault != nil {
				fault.Source = place.source
			}
			in.secretFiles[s.name] = path
			return value, FromFile, fault
		}
	}
	return "", FromDefault, nil
}

// fromFile returns what a secret's file holds, without the line's end. The path
// is not repeated in the fault: a secret put there by mistake looks like one.
func (in *input) fromFile(s *setting, path string) (string, *Fault) {
	fault := &Fault{Setting: s.name + "_FILE", Mend: "Name a file that holds the value of " + s.name + " and nothing else, and that the user running " +
		"Gatehouse may read."}
	b, err := in.readFile(path)
	switch {
	case err != nil:
		fault.Problem = "The file that it names " + unreadable(err) + "."
	case len(b) > maxFile:
		fault.Problem = "The file that it names is too large."
	default:
		if value := s.trim(strings.TrimRight(string(b), "\r\n")); value != "" {
			return value, nil
		}
		fault.Problem = "The file that it names is empty."
	}
	return "", fault
}

// unreadable says why a file can't be read, without the path that the system's
// own text has.
func unreadable(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read by this user"
	default:
		return "can't be read"
	}
}
