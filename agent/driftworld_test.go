package agent

import (
	"context"
	"slices"
)

// edit is what a stranger does to a Deployment of the app, and the watch tells.
func (w *world) edit(image string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live["web"] = image
	w.changed <- Line{App: w.app.Name, Environment: "production"}
}

func (w *world) Drifted(ctx context.Context, r Release, policy DriftPolicy, leave func(Object) bool) (found []Drift, err error) {
	if w.onDrift != nil {
		w.onDrift(r)
	}
	for _, s := range r.App.Services {
		o := Object{Kind: "Deployment", Name: s.Name}
		w.mu.Lock()
		live := w.live[s.Name]
		settled := policy == DriftReport && w.accepted[o] == live
		w.mu.Unlock()
		if live == r.Image || settled || leave(o) {
			continue
		}
		err = w.call(ctx, func() error { // costs nothing while nobody touches anything
			found = append(found, Drift{Object: o, Fields: []string{"image: " + live}, By: "kubectl-edit"})
			return nil
		})
	}
	if w.onLook != nil && len(found) > 0 {
		return found, w.onLook(ctx)
	}
	return found, err
}

func (w *world) Settle(ctx context.Context, r Release, revert, reported []Object) error {
	return w.call(ctx, func() error {
		for _, o := range reported {
			w.accepted[o] = w.live[o.Name]
		}
		for _, o := range revert {
			w.live[o.Name] = r.Image
			w.reverted = append(w.reverted, o)
			if w.rival != "" {
				w.live[o.Name] = w.rival
				w.changed <- r.Line
			}
		}
		return nil
	})
}

// drifts are the records of the first release.
func (w *world) drifts() []DriftRecord {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.releases, func(r Release) bool { return r.Number == 1 })
	if i < 0 {
		return nil
	}
	return w.releases[i].Status.Drift
}
