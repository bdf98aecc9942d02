package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// A password is never an argument, which other users of the machine could see.

// passwordFile is the most bytes that are read of a file with a password.
const passwordFile = 64 << 10

// GivenPassword returns the password in the file, which is standard input if
// its name is -. It returns false if it must be asked for: no file is named, or
// a person would type into standard input and see what they type.
func (t *Terminal) GivenPassword(file string) (password string, given bool, err error) {
	switch {
	case file != "" && file != "-":
		password, err = PasswordIn(file, "--password-file")
		return password, true, err
	case IsTerminal(t.In):
		return "", false, nil
	case file == "-":
		password, err = readPassword(t.In, "--password-file")
		return password, true, err
	}
	return "", false, UsageError("There is no terminal to prompt for the password. Name a file that holds it with --password-file PATH; - is standard input.")
}

// PasswordIn returns the password in the file that the flag names.
func PasswordIn(file, flag string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	return readPassword(f, flag)
}

// readPassword reads everything but the newline at the end.
func readPassword(in io.Reader, flag string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, passwordFile))
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if strings.ContainsAny(password, "\r\n") {
		// It could never be typed into a form.
		return "", UsageError(flag + ": The file has several lines. It must contain only the password, on one line.")
	}
	return password, nil
}

// AskPassword asks for a new password, and once more if it passes the check.
func (t *Terminal) AskPassword(ctx context.Context, check func(string) error) (string, error) {
	first, err := t.Ask(ctx, "Password: ")
	if err != nil {
		return "", err
	}
	if err := check(first); err != nil {
		return "", err
	}
	second, err := t.Ask(ctx, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", fault.New(fault.Invalid, "passwords_differ", "The passwords do not match. Please try again.")
	}
	return first, nil
}

// Ask reads a line that the terminal does not show. If the context ends, by ^C,
// the terminal is left as it was.
func (t *Terminal) Ask(ctx context.Context, prompt string) (string, error) {
	fd := int(t.In.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(t.Err, prompt)
	defer fmt.Fprintln(t.Err)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return string(a.line), a.err
	case <-ctx.Done():
		// The goroutine waits for a line until the process ends.
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
