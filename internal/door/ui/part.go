package ui

import (
	"fmt"
	"html/template"
	"reflect"
	"strings"
	"time"
)

// Part is what a part of a page is given: see the package's comment for which part takes what.
type Part struct {
	V *View
	// Name is the field's, ID its id (its name, if that is left out), and Form tells its form from others.
	Name, ID, Form string
	// Label and Hint are the words around a field, Value what was typed before.
	Label, Hint, Value string
	// Type, Mode, Autocomplete, Placeholder and Pattern are the attributes type, inputmode and so on.
	Type, Mode, Autocomplete, Placeholder string
	Max                                   int // of characters; 0 for any
	Required, Autofocus                   bool
	// LTR is for what is written left to right in every language, Code for codes.
	LTR, Code bool
	// Options are those of a select.
	Options []Option
	// Rules are those of a new password, Strength where advice on one is asked for, and About whom it is for.
	Rules           []Rule
	Strength, About string
	// Forgot is where whoever has forgotten a password goes.
	Forgot string

	// Title, Text and Small are words; Icon, Level (bad, warn, good, tip) and Role how they look and are read.
	Title, Icon, Level, Role string
	Text, Small              any
	// Href and Action lead on; Button is what they say.
	Href, Action, Button string
	// Wide and Main are looks of a button; Bad is one that destroys.
	Wide, Main, Danger bool
	// Links are at most two actions of a note.
	Links []Link
}

// Option is one of a select.
type Option struct {
	Value, Text, Lang string
	Selected          bool
}

// Rule is one that a new password must keep. Codes are those of the faults that say that it does not.
type Rule struct{ Text, Codes string }

// Link leads somewhere.
type Link struct {
	Href, Text string
	Main       bool
}

// part makes a part of pairs of a name and a value. The names are those of Part, in small letters.
func part(v *View, pairs ...any) (*Part, error) {
	p := &Part{V: v}
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("a part takes pairs of a name and a value: %v", pairs)
	}
	fields := reflect.ValueOf(p).Elem()
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		f := fields.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		value := reflect.ValueOf(pairs[i+1])
		if !f.IsValid() || !value.IsValid() {
			return nil, fmt.Errorf("a part has no %q, or it was given nothing", name)
		}
		switch {
		case value.Type().AssignableTo(f.Type()):
			f.Set(value)
		case value.Type().ConvertibleTo(f.Type()) && value.Kind() == f.Kind():
			f.Set(value.Convert(f.Type()))
		default:
			return nil, fmt.Errorf("a part's %q is a %s, and not a %s", name, f.Type(), value.Type())
		}
	}
	if p.ID == "" {
		p.ID = p.Name
	}
	return p, nil
}

// On gives a part that was made in Go its page.
func (p Part) On(v *View) *Part {
	p.V = v
	if p.ID == "" {
		p.ID = p.Name
	}
	return &p
}

// Bad reports whether the problem is in this field.
func (p *Part) Bad() bool {
	return p.V.Problem != nil && p.V.Problem.Field == p.Name && p.V.Problem.Field != "" && p.V.Problem.Form == p.Form
}

// Focus reports whether the field gets the focus: the one to blame, or else the one that is first.
func (p *Part) Focus() bool {
	switch f := p.V.Problem; {
	case f == nil:
		return p.Autofocus
	case f.Field != "":
		return p.Bad()
	default:
		return f.Focus == p.Name && f.Form == p.Form && f.Focus != ""
	}
}

// Described are the ids of what describes the field.
func (p *Part) Described() string {
	var ids []string
	if p.Strength != "" {
		ids = append(ids, p.ID+"-advice", p.ID+"-rules")
	}
	switch {
	case p.Bad():
		ids = append(ids, p.ID+"-err")
	case p.Hint != "":
		ids = append(ids, p.ID+"-hint")
	}
	return strings.Join(ids, " ")
}

// Kind is the input's type.
func (p *Part) Kind() string {
	if p.Type == "" {
		return "text"
	}
	return p.Type
}

// Table is a list of rows, and what stands above its columns.
type Table struct {
	// Caption names it for readers of the screen.
	Caption string
	Columns []Column
	Rows    []Row
}

// Column is the head of one. Class is num (to the end), keep (unbroken), opt or opt2 (goes where it is
// narrow).
type Column struct{ Text, Class string }

// Row is one row: its first cell is its name.
type Row struct {
	Cells []Cell
	// Fresh has it fade in.
	Fresh bool
}

// Cell is one cell. Text may be a string or template.HTML; Class that of its column.
type Cell struct {
	Text        any
	Small       any
	Href, Class string
	// Tag and Level are for a state: Locked, warn.
	Tag, Level string
	Code       bool
	// Thin is said as well where the column of its own is not shown.
	Thin string
}

// Pager leads through a list that is read by cursors.
type Pager struct {
	// Newer and Older are addresses, or empty; Text says what is shown.
	Newer, Older, Text string
}

// Moment is one entry of a timeline. A Day alone is the head of a day.
type Moment struct {
	Day string
	At  time.Time
	// Icon, Text and Small are what is seen; Raw the record as it is.
	Icon        string
	Text, Small any
	Raw         string
	Bad         bool
}

// Clock is the moment's time of day, in UTC.
func (m Moment) Clock() string { return m.At.UTC().Format("15:04") }

// Stamp is the moment for the machine.
func (m Moment) Stamp() string { return m.At.UTC().Format(time.RFC3339) }

// Ask is a confirmation: what an action would touch, before it does. With script it is a dialog over the page
// that it came from, without a page of its own.
type Ask struct {
	// Title is the preview, with its number: "This ends 3,214 sessions of 1,120 people".
	Title string
	Text  template.HTML
	Table *Table
	// Stays says what is left as it is.
	Stays []string
	// Action is where the form goes, Cancel where who has second thoughts goes; Hidden are its fields.
	Action, Cancel string
	Hidden         map[string]string
	// Reason asks why, for the log. Number, if it is not 0, must be typed: it is asked for where more than 10
	// people are touched.
	Reason bool
	Number int64
	// Button says what it does, with its number; Danger is for what destroys.
	Button string
	Danger bool
}

// Side is the side bar of the desk.
type Side struct {
	// Find is where the search goes; FindText is what was searched for.
	Find, FindText string
	Groups         []SideGroup
	// Name, Initials and Role are of who is signed in. Installation is the second line of the brand.
	Name, Initials, Role, Installation string
	// Unlocked is for how long changes are; zero says that they are locked. SignIn is where they are unlocked.
	Unlocked time.Duration
	SignIn   string
}

// SideGroup is some of its links; the first group has no title.
type SideGroup struct {
	ID, Title string
	Links     []SideLink
}

// SideLink is one link. Tag is a count, and TagText what it counts, for readers of the screen.
type SideLink struct {
	Href, Text, Icon string
	Current          bool
	Tag              string
	TagLevel         string
	TagText          string
}

// With gives something made in Go to a part of the kit, together with the page.
func (v *View) With(x any) With { return With{v, x} }

// With is a view and something.
type With struct {
	V *View
	X any
}
