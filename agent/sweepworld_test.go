package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// sweeping is what a world has for sweeps; nil ports without it.
type sweeping struct {
	pulls   map[int]PullRequest         // all that there are, by number
	onPulls func(context.Context) error // instead of GitHub's answer
	rails   map[string]int              // times that guard rails were put up, by namespace
	noRails error
	swept   []int // orphans, by look
	looks   int   // at the list of open pull requests
}

// sweeps is a world with previews whose agent sweeps.
func sweeps(tb testing.TB) *world {
	tb.Helper()
	w := previewing(tb)
	w.letSweep()
	return w
}

func (w *world) letSweep() {
	w.sweeping = &sweeping{pulls: map[int]PullRequest{7: {Number: 7, RepositoryID: 1234, Open: true}}, rails: map[string]int{}}
}

// shut closes pull request 7 without an event.
func (w *world) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweeping.pulls[7] = PullRequest{Number: 7, RepositoryID: 1234, ClosedAt: w.now()}
}

func (w *world) connectSweep(p *Ports) {
	if w.sweeping != nil {
		p.OpenPulls, p.Spaces, p.Rails, p.Sweeps = w, w, w, w
	}
}

func (w *world) Previews() []Preview {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.previews)
}

func (w *world) OpenPullRequests(ctx context.Context, _ string) (open []PullRequest, err error) {
	if w.sweeping.onPulls != nil {
		if err := w.sweeping.onPulls(ctx); err != nil {
			return nil, err
		}
	}
	err = w.call(ctx, func() error {
		w.sweeping.looks++
		for _, number := range slices.Sorted(maps.Keys(w.sweeping.pulls)) {
			if w.sweeping.pulls[number].Open {
				open = append(open, w.sweeping.pulls[number])
			}
		}
		return nil
	})
	return open, err
}

func (w *world) PullRequest(ctx context.Context, _ string, number int) (pull PullRequest, err error) {
	err = w.call(ctx, func() error {
		var found bool
		if pull, found = w.sweeping.pulls[number]; !found {
			return ErrNoRepository
		}
		return nil
	})
	return pull, err
}

func (w *world) PreviewSpaces(ctx context.Context) (spaces []PreviewSpace, err error) {
	err = w.call(ctx, func() error {
		for _, name := range slices.Sorted(maps.Keys(w.spaces)) {
			there := w.spaces[name]
			if there.owner == "" {
				continue
			}
			s := PreviewSpace{
				Namespace: name, Owner: there.owner, UID: name, CreatedAt: there.madeAt,
				Owned: slices.ContainsFunc(w.previews, func(p Preview) bool { return p.UID == there.owner }),
			}
			if there.ending {
				s.EndingAt = w.now()
			}
			spaces = append(spaces, s)
		}
		return nil
	})
	return spaces, err
}

func (w *world) DeleteSpace(ctx context.Context, s PreviewSpace) error {
	return w.call(ctx, func() error {
		there := w.spaces[s.Namespace]
		if there == nil {
			return nil
		}
		if slices.ContainsFunc(w.previews, func(p Preview) bool { return p.UID == there.owner }) {
			return fmt.Errorf("%s: %w", s.Namespace, ErrForeign)
		}
		delete(w.spaces, s.Namespace)
		w.releases = slices.DeleteFunc(slices.Clone(w.releases), func(r Release) bool { return r.Namespace == s.Namespace })
		return nil
	})
}

func (w *world) PutUpRails(ctx context.Context, p Preview) error {
	return w.call(ctx, func() error { w.sweeping.rails[p.Namespace]++; return w.sweeping.noRails })
}

func (w *world) Swept(orphans int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweeping.swept = append(w.sweeping.swept, orphans)
}

// skip is time in which nobody works.
func (w *world) skip(d time.Duration) { w.born = w.born.Add(-d) }
