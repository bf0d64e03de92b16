package agent

import (
	"slices"
	"time"
)

// view is what the texts about a release need to know besides it. All of it is
// durable, so that they can be made again at any time.
type view struct {
	Environment Environment
	Apps        []App     // all of the cluster
	Releases    []Release // of the release's line, by number
	Now         time.Time
	ServerURL   string // GitHub's web address; empty: DefaultServerURL
}

// DefaultServerURL is the web address of GitHub itself; an Enterprise Server has
// another.
const DefaultServerURL = "https://github.com"

// view is what there is to know at this moment of a release in environment.
func (a *Agent) view(environment Environment, releases []Release) view {
	return view{Environment: environment, Apps: a.Apps.Apps(), Releases: releases, Now: a.now(), ServerURL: a.config.ServerURL}
}

// before is the good release that served when r came, if it is kept; nil for
// none.
func (v view) before(r Release) *Release {
	for i := range slices.Backward(v.Releases) {
		if old := &v.Releases[i]; old.Status.Phase == Succeeded && old.Number < r.Number {
			return old
		}
	}
	return nil
}

// serves reports whether r is what serves now.
func (v view) serves(r Release) bool {
	now := current(v.Releases)
	return now != nil && now.Number == r.Number
}

// find returns the kept release of that number, if there is one.
func (v view) find(number int) *Release {
	for i := range v.Releases {
		if v.Releases[i].Number == number {
			return &v.Releases[i]
		}
	}
	return nil
}
