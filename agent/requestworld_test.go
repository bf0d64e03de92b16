package agent

import (
	"context"
	"slices"
	"time"
)

// desk is where people ask for rollbacks in a world.
type desk struct {
	requests []Request
	forged   bool  // the API server lets anybody ask in another's name
	trouble  error // it does not tell
	vouched  int   // how often it was asked
}

// ask makes a request, as the API server would: its times are whole seconds.
func (w *world) ask(name, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := Line{App: "storefront", Environment: "production"}
	w.desk.requests = append(w.desk.requests, Request{
		Line: line, Namespace: "storefront-production", Name: name, UID: "uid of " + name,
		To: to, By: "alice", CreatedAt: w.now().Truncate(time.Second),
	})
	w.changed <- line
}

func (w *world) Requests() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.desk.requests), func(r Request) bool { return r.Answer.Phase != "" })
}

func (w *world) Conclude(ctx context.Context, r Request) error {
	return w.call(ctx, func() error {
		for i := range w.desk.requests {
			if w.desk.requests[i].UID == r.UID {
				w.desk.requests[i].Answer = r.Answer
			}
		}
		return nil
	})
}

func (w *world) Vouch(ctx context.Context, _ Request) error {
	return w.call(ctx, func() error {
		w.desk.vouched++
		if w.desk.forged {
			return ErrUnvouched
		}
		return w.desk.trouble
	})
}

// answers are what became of the requests, in their order.
func (w *world) answers() []Answer {
	var all []Answer
	for _, r := range w.desk.requests {
		all = append(all, r.Answer)
	}
	return all
}
