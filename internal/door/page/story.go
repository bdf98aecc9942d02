package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// storyCookie is what shows the browser that has said "this wasn't me" what came of it.
const storyCookie = "gatehouse_story"

// storyPage is a person's own bad day: what happened, what has ended, and what to do next.
type storyPage struct {
	flow.Story
	Happened []happening
	// Todo are the keys of what is left to do once the new password is set.
	Todo []string
	Next []next
}

// putStory has the browser keep what shows it the story, if there is one.
func (p *Forms) putStory(w http.ResponseWriter, shows string) {
	if shows != "" {
		p.Cookies.PutShort(w, storyCookie, shows, flow.StoryLife)
	}
}

// showStory shows the story of the browser that asks, and reports whether it has one.
func (p *Links) showStory(w http.ResponseWriter, r *http.Request, e ending) (shown bool, err error) {
	s, ok, err := p.NotMe.Story(r.Context(), p.Cookies.Short(r, storyCookie))
	if !ok || err != nil {
		return false, err
	}
	v := p.view(r)
	return true, p.show(w, http.StatusOK, v, "not-me-done", told(v, s, e.next))
}

// told puts a story into words. What a sign-in is called on the page of the account would say that it was the person's own.
func told(v *ui.View, s flow.Story, to []next) storyPage {
	page := storyPage{Story: s, Next: to}
	changed := map[event.Kind]bool{}
	for _, e := range s.Happened {
		changed[e.Kind] = true
		known := happenings[e.Kind]
		h := happening{Icon: known.icon, Text: v.T(known.done), Warn: warned[e.Kind], When: v.Time(e.Time)}
		if e.Kind == event.Login {
			h.Text = v.T("not-me.login")
		}
		if e.UserAgent != "" && e.Detail.By == "" {
			h.With = device(Signed{View: v}, session.DeviceName(e.UserAgent))
		}
		if e.Detail.By == "" { // where those sit who run the server is not its owner's business
			h.From = e.Address
		}
		page.Happened = append(page.Happened, h)
	}
	if changed[event.EmailChange] {
		page.Todo = append(page.Todo, "not-me.todo-address")
	}
	if changed[event.FactorAdded] || changed[event.RecoveryCodesMade] || changed[event.FactorRemoved] {
		page.Todo = append(page.Todo, "not-me.todo-factor")
	}
	page.Todo = append(page.Todo, "not-me.todo-elsewhere", "not-me.todo-look")
	return page
}

// expelled is the section's form with which somebody says "this wasn't me": their session ends with all others.
func (p *Account) expelled(notMe *flow.NotMe) Action {
	return Action{[]string{"current_password"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
		shows, err := notMe.Mine(r.Context(), s.Identity, in["current_password"], p.browser(r), web.Origin(r))
		if shows == "" {
			return "", err
		}
		p.Cookies.Clear(w) // also where another press came first
		p.putStory(w, shows)
		return stepExpelled, nil
	}}
}
