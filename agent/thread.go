package agent

import (
	"context"
	"slices"
)

// thread is what has one comment on a pull request: an app, or all apps of a group.
type thread struct {
	group string // empty: it is that of one app
	apps  []App  // sorted by name
}

// thread is that of app.
func (a *Agent) thread(app App) thread {
	group := app.group()
	if group == "" {
		return thread{apps: []App{app}}
	}
	apps := slices.DeleteFunc(slices.Clone(a.Apps.Apps()), func(other App) bool { return other.group() != group })
	return thread{group: group, apps: apps}
}

// marker finds the comment again. The name of a group is a DNS label, as that of an
// app is; no app's marker is that of a group.
func (t thread) marker() string {
	if t.group != "" {
		return "<!-- inhaul: preview group " + t.group + " -->"
	}
	return commentMarker(t.title())
}

// title is what people know t by.
func (t thread) title() string {
	if t.group != "" || len(t.apps) == 0 {
		return t.group
	}
	return t.apps[0].Name
}

// turnOf waits until no other app of the app's group shows their comment in the
// repository, or they could both make one. The next may, once done is called.
func (a *Agent) turnOf(ctx context.Context, app App, repository string) (done func(), err error) {
	if app.group() == "" {
		return func() {}, nil
	}
	key := app.group() + " " + repository
	a.mu.Lock()
	turn := a.threads[key]
	if turn == nil {
		turn = make(chan struct{}, 1)
		a.threads[key] = turn
	}
	a.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
