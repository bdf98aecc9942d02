package web

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// known has the fields of each struct that was decoded into, by type.
var known sync.Map // reflect.Type → map[string]int

// fieldsOf returns the index of each field by its JSON name. A struct that
// Decode can't fill is a bug in a door, and panics at its first use.
func fieldsOf(t reflect.Type) map[string]int {
	if fields, ok := known.Load(t); ok {
		return fields.(map[string]int)
	}
	if t.Kind() != reflect.Struct || t.NumField() > 64 {
		panic("web: " + t.String() + " is no struct of at most 64 fields")
	}
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if _, again := fields[name]; again || name == "" || !f.IsExported() || wanted(f.Type) == "" {
			panic("web: the field " + f.Name + " of " + t.String() + " can't be decoded")
		}
		fields[name] = i
	}
	known.Store(t, fields)
	return fields
}

// wanted says what JSON value a field takes; "" if Decode knows no such field.
func wanted(t reflect.Type) string {
	if t == rawObject {
		return "an object"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "a list of strings"
		}
	case reflect.Pointer:
		if e := t.Elem(); e.Kind() != reflect.Pointer && e.Kind() != reflect.Slice {
			return wanted(e)
		}
	}
	return ""
}

// rawObject is a field that takes an object as it was sent, which somebody else reads.
var rawObject = reflect.TypeFor[json.RawMessage]()

func wrongType(field string, t reflect.Type) error {
	return fault.Field(field, "wrong_type", "The field %s must be %s.", field, wanted(t))
}

// unknownField names a field that is not there. Its name is a stranger's text.
func unknownField(name string, fields map[string]int) error {
	shown := printable(name, maxShownName)
	switch {
	case strings.ContainsRune(name, utf8.RuneError):
		return invalidUTF8(shown)
	case strings.IndexByte(name, 0) >= 0:
		return nulCharacter(shown)
	}
	for right := range fields {
		if strings.EqualFold(right, name) {
			return fault.Field(shown, "unknown_field", "There is no field of this name here. It is written %s.", right)
		}
	}
	return fault.Field(shown, "unknown_field", "There is no field of this name here. Leave it out, or look for a slip in its name.")
}

// assign puts one JSON value, which is well formed, into a field.
func assign(into reflect.Value, name string, raw []byte) error {
	declared := into.Type()
	if into.Kind() == reflect.Pointer {
		if string(raw) == "null" {
			return nil
		}
		into.Set(reflect.New(declared.Elem()))
		into = into.Elem()
	}
	if declared == rawObject {
		if raw[0] != '{' {
			return wrongType(name, declared)
		}
		into.SetBytes(raw)
		return nil
	}
	switch into.Kind() {
	case reflect.String:
		if raw[0] != '"' {
			return wrongType(name, declared)
		}
		s, err := text(name, raw)
		if err != nil {
			return err
		}
		into.SetString(s)
	case reflect.Bool:
		if raw[0] != 't' && raw[0] != 'f' {
			return wrongType(name, declared)
		}
		into.SetBool(raw[0] == 't')
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil { // the cause would repeat the value
			return wrongType(name, declared)
		}
		into.SetInt(n)
	default:
		return assignList(into, name, raw)
	}
	return nil
}

// mostText is the longest text of a field whose tag does not say another, in characters.
const mostText = 1024

// bound refuses a text that is longer than the field takes, and each of a list's.
func bound(f reflect.StructField, v reflect.Value, name string) error {
	most := mostText
	if n, err := strconv.Atoi(f.Tag.Get("most")); err == nil {
		most = n
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem() // nothing, if nothing was sent
	}
	if f.Type == rawObject {
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		if utf8.RuneCountInString(v.String()) > most {
			return fault.Field(name, "too_long", "The field %s takes %d characters at most.", name, most)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if utf8.RuneCountInString(v.Index(i).String()) > most {
				return fault.Field(name, "too_long", "The field %s takes texts of %d characters at most.", name, most)
			}
		}
	}
	return nil
}

func assignList(into reflect.Value, name string, raw []byte) error {
	var elements []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return wrongType(name, into.Type())
	}
	list := reflect.MakeSlice(into.Type(), len(elements), len(elements))
	for i, e := range elements {
		if e[0] != '"' {
			return wrongType(name, into.Type())
		}
		s, err := text(name, e)
		if err != nil {
			return err
		}
		list.Index(i).SetString(s)
	}
	into.Set(list)
	return nil
}

// text returns the meaning of a JSON string. Where encoding/json puts U+FFFD in
// place of what it can't decode (raw bytes, half a surrogate pair), it is
// refused, and so is U+FFFD itself: it says that the text was damaged before it
// came here, and a damaged password would be stored for good.
func text(field string, raw []byte) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		f := errInvalidJSON.Because(err)
		f.Field = field
		return "", f
	}
	switch {
	case strings.ContainsRune(s, utf8.RuneError):
		return "", invalidUTF8(field)
	case strings.IndexByte(s, 0) >= 0:
		return "", nulCharacter(field)
	}
	return s, nil
}
