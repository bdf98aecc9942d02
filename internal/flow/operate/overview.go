package operate

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Overview is how the service fares: figures of the hours, and the health of what runs
// in the background. It reads counters, and never the log.
type Overview struct {
	flow.Core
	// Jobs are the names of the timetable, in its order.
	Jobs func() []string
}

// Span is how long the figures go back.
type Span struct {
	Name string
	// Hours is how many, and Step how many make a point of a curve.
	Hours, Step int64
}

// Spans are those that there are; the first is the default.
func Spans() []Span {
	return []Span{{"24h", 24, 1}, {"7d", 7 * 24, 4}, {"30d", 30 * 24, 24}}
}

// week is what figures are compared with: those of the same hours a week before.
const week = 7 * 24

// Curve is a figure over a span.
type Curve struct {
	Name string
	// Points are the figures of each step, the oldest first, and Was those of the same
	// hours a week before. Of a level it is the last within the step; a step without one
	// has that of the step before.
	Points, Was []int64
	// Total is the sum over the span, and WasTotal that of a week before, of the same
	// part of the hour that is not over; of a level, the last.
	Total, WasTotal int64
	// Level is whether it is a level, and no count.
	Level bool
	// Compares is whether a week before was counted at all.
	Compares bool
}

// Figures is what an overview shows of the log.
type Figures struct {
	Span Span
	// From is when the first point begins, and At when they were read.
	From, At time.Time
	Curves   []Curve
}

// Health is how what runs in the background does.
type Health struct {
	Jobs []job.Row
	Mail notice.State
	// Sealed is how many events have their place in the sealed log.
	Sealed int64
	// Replicas are those that have shown themselves within a minute; at least this one.
	Replicas int
}

// Figures returns the figures of a span.
func (f *Overview) Figures(ctx context.Context, s Span) (out Figures, err error) {
	ctx, run := f.Count.Begin(ctx, "overview")
	now := f.Now()
	until := event.Hour(now) + 1
	from := until - s.Hours
	var list []event.Figure
	first, some := int64(0), false
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if first, some, err = event.FirstFigure(tx); err != nil {
			return err
		}
		list, err = event.ReadFigures(tx, from-week-s.Step, until)
		return err
	})
	if err != nil {
		return out, run.End(err)
	}
	out = Figures{Span: s, From: event.HourTime(from), At: now}
	by := map[string]map[int64]int64{}
	for _, one := range list {
		if by[one.Name] == nil {
			by[one.Name] = map[int64]int64{}
		}
		by[one.Name][one.Hour] = one.N
	}
	for _, name := range event.Figures() {
		c := Curve{Name: name, Level: name == event.FigureSessions || name == event.FigureAccounts, Compares: some && first <= from-week}
		c.draw(by[name], from, until, s.Step, now)
		out.Curves = append(out.Curves, c)
	}
	return out, run.End(nil)
}

// draw sums the hours up to steps.
func (c *Curve) draw(hours map[int64]int64, from, until, step int64, now time.Time) {
	if c.Level {
		c.Points, c.Was = levels(hours, from, until, step), levels(hours, from-week, until-week, step)
		c.Total, c.WasTotal = c.Points[len(c.Points)-1], c.Was[len(c.Was)-1]
		return
	}
	var total int64
	c.Points, c.Total = sums(hours, from, until, step)
	c.Was, total = sums(hours, from-week, until-week, step)
	// The hour that is not over is compared with as much of it.
	part := now.Sub(event.HourTime(until - 1))
	lastHour := hours[until-1-week]
	c.WasTotal = total - lastHour + int64(float64(lastHour)*part.Hours())
}

func sums(hours map[int64]int64, from, until, step int64) (points []int64, total int64) {
	for at := from; at < until; at += step {
		var n int64
		for h := at; h < at+step && h < until; h++ {
			n += hours[h]
		}
		points, total = append(points, n), total+n
	}
	return points, total
}

func levels(hours map[int64]int64, from, until, step int64) (points []int64) {
	n := int64(0)
	for h := from - step; h < from; h++ {
		if v, ok := hours[h]; ok {
			n = v
		}
	}
	for at := from; at < until; at += step {
		for h := at; h < at+step && h < until; h++ {
			if v, ok := hours[h]; ok {
				n = v
			}
		}
		points = append(points, n)
	}
	return points
}

// Health returns it.
func (f *Overview) Health(ctx context.Context) (h Health, err error) {
	ctx, run := f.Count.Begin(ctx, "overview")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if h.Jobs, err = job.Rows(tx); err != nil {
			return err
		}
		if h.Mail, err = notice.StateOf(tx); err != nil {
			return err
		}
		head, err := event.ReadHead(tx)
		if err != nil {
			return err
		}
		h.Sealed = head.Size
		h.Replicas, err = job.CountReplicas(tx, f.Now())
		return err
	})
	return h, run.End(err)
}

// Levels is the job that counts what has no event for its end: living sessions, and
// accounts. It reads them a page at a time.
func (f *Overview) Levels(ctx context.Context) error {
	now := f.Now()
	sessions, err := LivingSessions(ctx, f.DB, now)
	if err != nil {
		return err
	}
	accounts, err := f.accounts(ctx)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		event.SetFigure(tx, event.FigureSessions, sessions, now)
		event.SetFigure(tx, event.FigureAccounts, accounts, now)
		return nil
	})
}

func (f *Overview) accounts(ctx context.Context) (n int64, err error) {
	for after := ""; ; {
		var page int
		err := f.DB.Read(ctx, func(tx *db.Tx) error {
			page, after, err = account.CountAfter(tx, after, countPage)
			return err
		})
		if n += int64(page); err != nil || page < countPage {
			return n, err
		}
	}
}

// SpanOf returns the span of a name.
func SpanOf(name string) (Span, error) {
	for _, s := range Spans() {
		if s.Name == name {
			return s, nil
		}
	}
	return Span{}, errNoSpan
}

var errNoSpan = fault.Field("range", "invalid_range", "The range is 24h, 7d or 30d.")
