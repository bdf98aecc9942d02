package respond

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// What contains an incident.
const (
	EndSessions    = "end-sessions"
	VoidLinks      = "void-links"
	ResetPasswords = "reset-passwords"
	SuspendFactors = "suspend-factors"
	Disable        = "disable"
	BlockNetworks  = "block"
	RotateKeys     = "rotate-keys"
	RotateSecret   = "rotate-secret"
	EndGrants      = "end-grants"
	Lockdown       = "lockdown"
	// Notify is done by [Desk.Notify], and contains nothing.
	Notify = "notify"
)

// About describes an action.
type About struct {
	Does string
	// Text says what it does, and Undo what taking it back does; empty where it can't be.
	Text, Undo string
	// takes are the parts of an Order that it reads: see [Order.check].
	takes string
}

// Abouts are all actions, in the order in which one thinks of them.
var Abouts = []About{
	{EndSessions, "End sessions", "", "users networks device before all"},
	{VoidLinks, "Void links, codes and sign-ins that wait", "", "users all"},
	{ResetPasswords, "Demand new passwords, by a mail that explains", "", "users networks since all"},
	{SuspendFactors, "Suspend second factors added since a time", "Reinstate them", "users networks since all"},
	{BlockNetworks, "Block networks", "End the blocks", "networks for"},
	{Disable, "Disable accounts", "Enable them again", "users networks since"},
	{RotateKeys, "Revoke keys of the installation and make new ones", "", "purposes"},
	{RotateSecret, "Replace an application's secret", "", "client"},
	{EndGrants, "End what an application was granted", "", "client"},
	{Lockdown, "Close registration, changes, or signing in for all but administrators", "Open them again", "doors for"},
}

// FindAbout returns the description of an action.
func FindAbout(does string) (About, bool) {
	if does == Notify {
		return About{Does: Notify, Text: "Notify the people whom it touches"}, true
	}
	i := slices.IndexFunc(Abouts, func(a About) bool { return a.Does == does })
	if i < 0 {
		return About{}, false
	}
	return Abouts[i], true
}

// Order is what is to be done to contain an incident, and to whom.
type Order struct {
	Does string `json:"-"`
	// Users are ids or addresses. They stand in rows of their own, and not in what is kept of an order.
	Users []string `json:"-"`
	// Networks are those of sign-ins and last uses, or that are to be blocked.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// Device is a browser and system, such as "Firefox on Linux".
	Device string `json:"device,omitempty"`
	// Since bounds what was added, or when a network was used; Before when a sign-in was.
	Since  time.Time `json:"since,omitzero"`
	Before time.Time `json:"before,omitzero"`
	// All means everybody.
	All bool `json:"all,omitempty"`
	// Purposes are those of keys; "everything" is all that give access.
	Purposes []keyring.Purpose `json:"purposes,omitempty"`
	// Client is an application's id or name.
	Client string `json:"client,omitempty"`
	// Doors are what is closed, For how long, which is for blocks too: zero is without end there.
	Doors []lockdown.Door `json:"doors,omitempty"`
	For   time.Duration   `json:"for,omitempty"`
	// Why is the reason, which stands in the log; own are addresses of whoever asks; Confirmed says that a block of their
	// own network is meant.
	Why       string       `json:"-"`
	Own       []netip.Addr `json:"-"`
	Confirmed bool         `json:"-"`

	// Text is what a notice says, Rate how many go out in an hour: see [Desk.Notify].
	Text string `json:"text,omitempty"`
	Rate int64  `json:"rate,omitempty"`

	// Until is when a door opens by itself: set by [Desk.Contain].
	Until time.Time `json:"until,omitzero"`

	// approves is the action that waits for this, if somebody approves it.
	approves *approval
}

// Everything stands for all purposes of keys that give access.
const Everything = keyring.Purpose("everything")

// mostUsers is how many people an order may name, mostNetworks how many networks.
const (
	mostUsers    = 1000
	mostNetworks = 100
)

// parts are what an order says, by the words of [About.takes].
func (o Order) parts() map[string]bool {
	return map[string]bool{
		"users": len(o.Users) > 0, "networks": len(o.Networks) > 0, "device": o.Device != "", "since": !o.Since.IsZero(), "before": !o.Before.IsZero(),
		"all": o.All, "purposes": len(o.Purposes) > 0, "client": o.Client != "", "doors": len(o.Doors) > 0, "for": o.For != 0,
	}
}

func wrong(field, text string, args ...any) error {
	return fault.Field(field, "invalid_order", text, args...)
}

// check refuses an order that does not say whom it means, or says what its action does not read.
func (o Order) check(now time.Time) error {
	about, ok := FindAbout(o.Does)
	if !ok || o.Does == Notify {
		return fault.Field("action", "unknown_action", "There is no action %q. The actions are %s.", o.Does, strings.Join(Names(), ", "))
	}
	said := o.parts()
	takes := strings.Fields(about.takes)
	for part, yes := range said {
		if yes && !slices.Contains(takes, part) {
			return wrong(part, "%s does not take this: it takes %s.", o.Does, strings.Join(takes, ", "))
		}
	}
	switch {
	case len(o.Users) > mostUsers:
		return wrong("users", "One action names at most %d people. Use a network or a time, or several actions.", mostUsers)
	case len(o.Networks) > mostNetworks:
		return wrong("networks", "One action names at most %d networks.", mostNetworks)
	case o.Since.After(now):
		return wrong("since", "This time is still to come.")
	case o.Before.After(now):
		return wrong("before", "This time is still to come.")
	}
	return o.checkWhom(said)
}

// checkWhom refuses an order that does not say whom or what it means.
func (o Order) checkWhom(said map[string]bool) error {
	whom := 0
	for _, part := range []string{"users", "networks", "device", "all"} {
		if said[part] {
			whom++
		}
	}
	switch o.Does {
	case EndSessions:
		if whom == 0 && said["before"] {
			return nil
		}
		if said["users"] && whom+b2i(said["before"]) > 1 || said["all"] && whom > 1 {
			return wrong("users", "Name people, or all, or any of networks, a device and a time.")
		}
	case BlockNetworks:
		if o.For < 0 || o.For > 366*24*time.Hour {
			return wrong("for", "A block lasts up to a year, or without end.")
		}
	case RotateKeys:
		return o.checkPurposes()
	case RotateSecret, EndGrants:
		if o.Client == "" {
			return wrong("client", "Name the application, by its id or name.")
		}
		return nil
	case Lockdown:
		return o.checkDoors()
	case SuspendFactors:
		if o.Since.IsZero() {
			return wrong("since", "Say since when: factors that were there before stay as they are.")
		}
		fallthrough
	default:
		if whom > 1 {
			return wrong("users", "Name people, or networks, or all.")
		}
	}
	if whom == 0 && o.Does == BlockNetworks {
		return wrong("networks", "Name the networks that are to be blocked.")
	}
	if whom == 0 {
		return wrong("users", "Name people, networks, or all.")
	}
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (o Order) checkPurposes() error {
	if len(o.Purposes) == 0 {
		return wrong("purposes", "Name the purposes of the keys: access-sign, refresh-mac, csrf, or everything.")
	}
	for _, p := range o.Purposes {
		if _, ok := operate.Revocable[p]; !ok && p != Everything {
			return wrong("purposes", "Keys of the purpose %q can't be revoked on their own: name access-sign, refresh-mac, csrf, or everything.", p)
		}
	}
	return nil
}

func (o Order) checkDoors() error {
	if len(o.Doors) == 0 {
		return wrong("doors", "Say what to close: registration, changes or sign-in.")
	}
	for _, d := range o.Doors {
		if !slices.Contains(lockdown.Doors, d) {
			return wrong("doors", "%q can't be closed: registration, changes and sign-in can.", d)
		}
	}
	if o.For <= 0 || o.For > lockdown.Longest {
		return wrong("for", "Say for how long, up to 7 days: it opens by itself.")
	}
	return nil
}

// purposes are those of the keys that are meant.
func (o Order) purposes() []keyring.Purpose {
	if slices.Contains(o.Purposes, Everything) {
		return operate.Leaked()
	}
	return o.Purposes
}

// Names are the names of all actions.
func Names() (list []string) {
	for _, a := range Abouts {
		list = append(list, a.Does)
	}
	return list
}

// which is what sessions an order means.
func (o Order) which() operate.Which {
	return operate.Which{Networks: o.Networks, Device: o.Device, Before: o.Before}
}

// inForce reports whether an order is in force from the moment it was given, and what goes on only tidies up: a cut-off ends
// everybody's sessions. Of who is named nothing is kept in an order, so it says nothing then.
func (o Order) inForce() bool {
	return o.Does == EndSessions && (o.All || !o.Before.IsZero()) && o.which().Everybody()
}

// text says an order in a line, without people.
func (o Order) text() string {
	var list []string
	add := func(name, value string) {
		if value != "" {
			list = append(list, name+" "+value)
		}
	}
	if n := len(o.Users); n > 0 {
		add("of", fmt.Sprintf("%d named %s", n, plural(int64(n), "person", "people")))
	}
	if o.All {
		add("of", "everybody")
	}
	add("networks", joined(o.Networks))
	add("device", o.Device)
	add("since", stamp(o.Since))
	add("before", stamp(o.Before))
	add("keys", joined(o.Purposes))
	add("application", o.Client)
	add("closed:", joined(o.Doors))
	add("until", stamp(o.Until))
	switch {
	case o.Does == BlockNetworks && o.For == 0:
		add("without", "end")
	case o.Until.IsZero() && o.For > 0:
		add("for", span(o.For))
	}
	if o.Rate > 0 {
		add("mails an hour at most:", strconv.FormatInt(o.Rate, 10))
	}
	return strings.Join(list, ", ")
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func joined[T any](list []T) string {
	words := make([]string, 0, len(list))
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

// span says a length of time as the commands take it.
func span(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// Order is what an action was told, without people.
func orderOf(does string, wants json.RawMessage) (o Order, err error) {
	err = json.Unmarshal(wants, &o)
	o.Does = does
	return o, err
}
