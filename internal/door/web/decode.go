package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// MaxBody is the size in bytes of the largest body that is accepted.
const MaxBody = 64 << 10

// maxShownName is the size in bytes at which a name of the client's own making
// is cut before it is shown to them.
const maxShownName = 64

// Decode reads the body, which must be one JSON object, into a flat struct with
// json tags: fields of type string, bool, int, []string, json.RawMessage for an object that
// somebody else reads, or a pointer to one of the first three. A field that is not sent keeps its value. For a pointer null
// is the same as not sent; for any other field it is a wrong type. A text has 1,024
// characters at most, or as many as the field's tag most says.
//
// It is stricter than encoding/json: names match exactly and come once, nothing
// unknown, and nothing that is not valid Unicode or holds NUL, which the
// databases treat differently. Its errors are fault.Invalid with a code, name
// the field where there is one, and never repeat a value.
//
// It panics if into is not a pointer to such a struct.
func Decode(w http.ResponseWriter, r *http.Request, into any) error {
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	return decodeObject(body, into)
}

// Document reads the body of a request that is JSON of somebody else's making, of which only some is understood.
func Document(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	return readBody(w, r)
}

// DecodeOptional is Decode for a call whose body may be left out: then into
// stays as it is. A Content-Type without a body counts as left out too: many
// clients always send one. A body of a length that is not known beforehand (chunked, or
// HTTP/2 without a length) may turn out to be none: content of length zero is
// no content (RFC 9110 section 6.4).
func DecodeOptional(w http.ResponseWriter, r *http.Request, into any) error {
	if r.ContentLength > 0 {
		return Decode(w, r, into)
	}
	body, err := readBody(w, r)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	return decodeObject(body, into)
}

var (
	errMediaType = fault.New(fault.Invalid, "unsupported_media_type",
		"The body must be JSON in UTF-8. Send it with the header Content-Type: application/json.")
	errContentCoding = fault.New(fault.Invalid, "unsupported_media_type",
		"The body must not be compressed. Send it without a Content-Encoding header.")
	errBodyTooLarge = fault.New(fault.Invalid, "body_too_large",
		"The body is larger than 64 KiB, the most that is accepted.")
	errRequestTimeout = fault.New(fault.Invalid, "request_timeout",
		"The body did not arrive in time. Try again.")
	errUnreadableBody = fault.New(fault.Invalid, "unreadable_body",
		"The body ended early or was not framed properly. Check Content-Length and Transfer-Encoding.")
	errEmptyBody = fault.New(fault.Invalid, "empty_body",
		"The body is empty. Send a JSON object.")
	errInvalidJSON = fault.New(fault.Invalid, "invalid_json",
		"The body is not valid JSON. Look for a missing quotation mark, comma or brace.")
	errNotAnObject = fault.New(fault.Invalid, "not_an_object",
		"The body must be a JSON object: names and values between braces.")
	errTrailingData = fault.New(fault.Invalid, "trailing_data",
		"There is something after the JSON object. Send one object and nothing else.")
)

func invalidUTF8(field string) error {
	return fault.Field(field, "invalid_utf8", "This is not valid Unicode text. Send it as UTF-8, without broken or replaced characters.")
}

func nulCharacter(field string) error {
	return fault.Field(field, "nul_character", "The NUL character (U+0000) is not accepted. Leave it out.")
}

// checkMediaType requires application/json, in UTF-8 if it names a character set,
// and not compressed. Together with CORS this also keeps other sites' forms
// out, which can't send JSON without asking first (ASVS 3.5.2).
func checkMediaType(h http.Header) error {
	for _, coding := range h["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			return errContentCoding
		}
	}
	values := h["Content-Type"]
	if len(values) != 1 {
		return errMediaType
	}
	if values[0] != "application/json" && !jsonMediaType.MatchString(values[0]) {
		return errMediaType
	}
	return nil
}

// jsonMediaType is JSON in UTF-8, and says so in one of the ways that it can be
// said. The mime package reads more into a parameter's name than others do.
var jsonMediaType = regexp.MustCompile(`^(?i)application/json[ \t]*(;[ \t]*charset=("utf-8"|utf-8)[ \t]*)?$`)

// readBody reads the whole body into memory of its own: a pooled buffer would
// hold one person's password while it serves the next.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, errBodyTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, errBodyTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errRequestTimeout.Because(err)
	default:
		return nil, errUnreadableBody.Because(err)
	}
}

// decodeObject walks the object one field at a time with encoding/json's own
// tokenizer; only the rules that it lacks are ours.
func decodeObject(body []byte, into any) error {
	target := reflect.ValueOf(into).Elem()
	fields := fieldsOf(target.Type())
	dec := json.NewDecoder(bytes.NewReader(body))
	switch first, err := dec.Token(); {
	case errors.Is(err, io.EOF):
		return errEmptyBody
	case err != nil:
		return syntaxFault(body, "", err)
	case first != json.Delim('{'):
		return errNotAnObject
	}
	var seen uint64 // a bit for each field
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return syntaxFault(body, "", err)
		}
		name, _ := token.(string) // the tokenizer allows nothing else here
		i, ok := fields[name]
		if !ok {
			return unknownField(name, fields)
		}
		if seen&(1<<i) != 0 {
			return fault.Field(name, "duplicate_field", "The field %s comes more than once. Send it once.", name)
		}
		seen |= 1 << i
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return syntaxFault(body, name, err)
		}
		if err := assign(target.Field(i), name, raw); err != nil {
			return err
		}
		if err := bound(target.Type().Field(i), target.Field(i), name); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return syntaxFault(body, "", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailingData
	}
	return nil
}

// syntaxFault says what is wrong with text that is not JSON. Bytes that belong
// in no text at all are distinguished, and attributed to the field in whose value
// the tokenizer stopped.
func syntaxFault(body []byte, field string, err error) error {
	switch {
	case bytes.IndexByte(body, 0) >= 0:
		return nulCharacter(field)
	case !utf8.Valid(body):
		return invalidUTF8(field)
	}
	f := errInvalidJSON.Because(err)
	f.Field = field
	return f
}
