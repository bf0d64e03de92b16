package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/inhaul/inhaul/spec"
)

const (
	// DefaultSweepInterval is between two looks at previews: what is left over costs, and
	// GitHub answers what has not changed for nothing.
	DefaultSweepInterval = 2 * time.Minute

	// sweepTimeout is for one look at one repository, with all its pages. What takes longer
	// hangs: then time alone ends previews.
	sweepTimeout = 30 * time.Second

	// lookedInterval is how far LookedAt may be behind: every look written down would be a
	// write for each preview every two minutes, for nothing.
	lookedInterval = time.Hour
)

// swept is what sweeps take turns by: previews of one app and one repository, or
// all namespaces of previews if it is zero. One that hangs delays no other.
type swept struct {
	app        string
	repository string // owner/name on GitHub
}

// sweepMemory is what is known from one look to the next. It goes with the process:
// then every patience begins anew.
type sweepMemory struct {
	mu      sync.Mutex
	gone    map[swept]time.Time  // since when GitHub has shown no repository
	absent  map[string]time.Time // since when there is no App of that name
	failing map[swept]bool       // looks that failed, so that it is told once
	railsAt map[string]time.Time // when guard rails were put up last, by namespace
}

func newSweepMemory() *sweepMemory {
	return &sweepMemory{gone: map[swept]time.Time{}, absent: map[string]time.Time{}, failing: map[swept]bool{}, railsAt: map[string]time.Time{}}
}

// missing notes whether GitHub shows no repository, and returns since when it has not.
func (m *sweepMemory) missing(s swept, is bool, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !is {
		delete(m.gone, s)
		return time.Time{}
	}
	if _, known := m.gone[s]; !known {
		m.gone[s] = now
	}
	return m.gone[s]
}

// fails notes whether a look failed, and reports whether that is news.
func (m *sweepMemory) fails(s swept, is bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	news := m.failing[s] != is
	if is {
		m.failing[s] = true
	} else {
		delete(m.failing, s)
	}
	return news
}

// without returns since when each of apps has not been there.
func (m *sweepMemory) without(apps map[string]bool, now time.Time) map[string]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.absent, func(name string, _ time.Time) bool { return !apps[name] })
	for name := range apps {
		if _, known := m.absent[name]; !known {
			m.absent[name] = now
		}
	}
	return maps.Clone(m.absent)
}

// turnOfRails reports whether the guard rails of a namespace are to be put up again, and
// notes that they are.
func (m *sweepMemory) turnOfRails(namespace string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, known := m.railsAt[namespace]; known && now.Sub(at) < railsInterval {
		return false
	}
	if len(m.railsAt) >= maxPreviewRecords { // those of namespaces that are gone, mostly
		maps.DeleteFunc(m.railsAt, func(_ string, at time.Time) bool { return now.Sub(at) >= railsInterval })
	}
	m.railsAt[namespace] = now
	return true
}

// forgetRails notes that the guard rails of a namespace are yet to be put up.
func (m *sweepMemory) forgetRails(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.railsAt, namespace)
}

// sweepInterval is between two looks at previews.
func (a *Agent) sweepInterval() time.Duration {
	if a.config.SweepInterval > 0 {
		return a.config.SweepInterval
	}
	return DefaultSweepInterval
}

// sweepAll gives every repository that has a preview a turn, and the namespaces one.
// It waits for nothing.
func (a *Agent) sweepAll() {
	if a.sweepable() {
		a.sweeps.remind(swept{})
	}
	for _, app := range a.Apps.Apps() {
		for _, p := range app.Previews {
			if p.sweeps() {
				a.sweeps.remind(swept{app.Name, p.Repository})
			}
		}
	}
}

// sweepable reports whether there may be namespaces of previews. Where there are no
// previews the agent has no right to list them.
func (a *Agent) sweepable() bool {
	allowed := slices.ContainsFunc(a.Apps.Apps(), func(app App) bool { return app.PreviewPolicy != nil })
	return a.Spaces != nil && (allowed || len(a.Records.Previews()) > 0)
}

// sweep is one look. It is decided from what is there, and may be cut short anywhere.
func (a *Agent) sweep(ctx context.Context, s swept) error {
	if s == (swept{}) {
		return a.sweepSpaces(ctx)
	}
	app, found := a.app(s.app)
	if !found {
		return nil // its previews are the namespaces' turn
	}
	var policy PreviewPolicy // none: nothing ends by time
	if app.PreviewPolicy != nil {
		policy = *app.PreviewPolicy
	}
	previews := slices.DeleteFunc(slices.Clone(app.Previews), func(p Preview) bool { return p.Repository != s.repository || !p.sweeps() })
	open := a.openList(ctx, s, previews)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failures []error
	for _, p := range previews {
		if err := a.notePull(ctx, policy, p, open); err != nil {
			failures = append(failures, err)
		}
	}
	for _, e := range Sweep(policy, previews, open, a.now()) {
		if err := a.end(ctx, e.Preview.Line, e); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// openList is what GitHub tells of the repository: the open pull requests, and each of
// previews that is not among them. It never fails: what GitHub does not tell is not
// there.
func (a *Agent) openList(ctx context.Context, s swept, previews []Preview) OpenList {
	if a.OpenPulls == nil || len(previews) == 0 {
		return OpenList{}
	}
	askCtx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	now := a.now()
	pulls, err := a.OpenPulls.OpenPullRequests(askCtx, s.repository)
	since := a.memory.missing(s, errors.Is(err, ErrNoRepository), now)
	for _, p := range previews {
		number, _ := spec.PreviewNumber(p.Line.Environment)
		if err != nil {
			break
		}
		if slices.ContainsFunc(pulls, func(pull PullRequest) bool { return pull.Number == number }) {
			continue
		}
		pull, askErr := a.OpenPulls.PullRequest(askCtx, s.repository, number)
		switch {
		case askErr == nil:
			pulls = append(pulls, pull)
		case !errors.Is(askErr, ErrNoRepository): // else it was never there, or is another's; time ends that
			err = askErr
		}
	}
	if news := a.memory.fails(s, err != nil); news && err != nil && ctx.Err() == nil {
		a.log.Warn("GitHub does not tell which pull requests are open: previews end by time alone", "name", s.app, "repository", s.repository, "error", err)
	} else if news && err == nil {
		a.log.Info("GitHub tells again which pull requests are open", "name", s.app, "repository", s.repository)
	}
	if len(pulls) == 0 && err != nil {
		return OpenList{GoneSince: since}
	}
	return OpenList{At: now, Pulls: pulls} // of those that were told before it failed
}

// notePull makes durable what GitHub told of the pull request of p, if it is news or
// was written down long ago.
func (a *Agent) notePull(ctx context.Context, policy PreviewPolicy, p Preview, open OpenList) error {
	pull, told := open.of(p)
	if !told || !pull.Open {
		return nil
	}
	labels := policy.meaning(pull.Labels)
	if slices.Equal(labels, p.Labels) && open.At.Sub(p.LookedAt) < lookedInterval {
		return nil
	}
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
		if p.sweeps() {
			p.Labels, p.LookedAt = labels, open.At
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording the labels of preview %s: %w", p.Line, err)
	}
	return nil
}
