package api

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Administrators finds out whether an administrator makes a request.
type Administrators struct {
	Caller
	Administrate *operate.Administrate
	// Bearer takes access tokens in the Authorization header alone: where the console has a host of its own (ADMIN_URL), the cookies of this
	// one, and of whatever runs here, administer nothing.
	Bearer bool
}

// administrator lets those through who may do what the call does, from where
// administration is done.
func (a *Administrators) administrator(need operate.Need, next identified) web.Handler {
	inner := a.signedIn(func(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
		if err := a.Administrate.Do(who, need, web.Origin(r)); err != nil {
			return err
		}
		return next(w, r, who)
	})
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.Administrate.Network(web.Origin(r)); err != nil {
			return err
		}
		if a.Bearer && len(r.Header["Authorization"]) == 0 {
			return errNoToken
		}
		return inner(w, r)
	}
}

// Blocks are networks that are kept out.
type Blocks struct {
	Administrators
	Blocks *operate.Blocks
	People *operate.People
}

// Routes are its operations.
func (a *Blocks) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/blocks":         a.administrator(operate.Reads, a.blocks),
		"POST /v1/admin/blocks":        a.administrator(operate.Changes, a.addBlock),
		"DELETE /v1/admin/blocks/{id}": a.administrator(operate.Changes, a.removeBlock),
	}
}

// blockAnswer is a block as administrators see it.
type blockAnswer struct {
	ID        string  `json:"id"`
	Network   string  `json:"network"`
	Reason    string  `json:"reason"`
	AddedAt   string  `json:"added_at"`
	ExpiresAt *string `json:"expires_at"`
}

func answerBlock(b block.Block) blockAnswer {
	return blockAnswer{ID: b.ID, Network: b.Network.String(), Reason: b.Reason, AddedAt: stamp(b.AddedAt), ExpiresAt: stampOrNull(b.ExpiresAt)}
}

// stampOrNull is stamp, or null for no time.
func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func (a *Blocks) blocks(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	cursor, limit, err := page(r)
	if err != nil {
		return err
	}
	list, more, err := a.Blocks.List(r.Context(), cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		Blocks []blockAnswer `json:"blocks"`
		Next   string        `json:"next_cursor,omitempty"`
	}{Blocks: make([]blockAnswer, 0, len(list))}
	for _, b := range list {
		out.Blocks = append(out.Blocks, answerBlock(b))
	}
	if more {
		out.Next = list[len(list)-1].ID
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Blocks) addBlock(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Network   string `json:"network" most:"64"`
		Reason    string `json:"reason"`
		ExpiresAt string `json:"expires_at" most:"64"`
		Confirm   bool   `json:"confirm"`
	}
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	n := operate.NewBlock{Network: in.Network, Reason: in.Reason, Confirmed: in.Confirm}
	if dry {
		return a.uses(w, r, in.Network)
	}
	if in.ExpiresAt != "" {
		if n.ExpiresAt, err = instant("expires_at", "invalid_expiry", in.ExpiresAt); err != nil {
			return err
		}
	}
	from := web.Origin(r)
	b, added, err := a.Blocks.Add(r.Context(), n, []netip.Addr{from.Address}, who, from)
	if errors.Is(err, operate.ErrConfirm) {
		again := *fault.As(err)
		again.Message += ` If that is meant, send it again with "confirm": true.`
		err = &again
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return web.WriteJSON(w, status, answerBlock(b))
}

// uses says who uses a network: a block would keep them out.
func (a *Blocks) uses(w http.ResponseWriter, r *http.Request, network string) error {
	n, err := block.ParseNetwork(network)
	if err != nil {
		return err
	}
	t, err := a.People.Uses(r.Context(), operate.Which{Network: n})
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerTouches(t, true))
}

func (a *Blocks) removeBlock(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if _, err := a.Blocks.Remove(r.Context(), r.PathValue("id"), who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
