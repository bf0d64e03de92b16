package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// PreviewSpace is a namespace that was made for a preview, as its labels say.
type PreviewSpace struct {
	Namespace string
	Line      Line   // whose it is, as its labels say
	Owner     string // UID of the record that it was made for
	Owned     bool   // that record is there, or a preview that came into it, of this agent or another
	UID       string // of the namespace
	Version   string // opaque; of the namespace
	CreatedAt time.Time
	EndingAt  time.Time // since when it is being deleted; zero: it is not
}

// Spaces are the namespaces of previews, whether they have a record or not.
type Spaces interface {
	// PreviewSpaces returns every namespace that was made for a preview.
	PreviewSpaces(ctx context.Context) ([]PreviewSpace, error)
	// DeleteSpace asks for the end of a namespace that nobody owns. ErrForeign says that
	// somebody does, ErrConflict that it has changed since s was read: it is left alone.
	DeleteSpace(ctx context.Context, s PreviewSpace) error
}

// Rails are what a preview may not do without.
type Rails interface {
	// PutUpRails makes the quota, the limits and the policies of p's namespace what they
	// have to be, if somebody has changed or deleted them.
	PutUpRails(ctx context.Context, p Preview) error
}

const (
	// spacePatience is how old a namespace has to be before it counts that it has no
	// record, and a record before it counts that it has no namespace: one is made after
	// the other, within seconds, and a change of leader in between takes some more.
	spacePatience = 10 * time.Minute

	// appPatience is how long previews outlive their App: it may have been deleted by
	// mistake, or to be made anew.
	appPatience = time.Hour

	// railsInterval is between two times at which guard rails are put up again. That is
	// some requests for each preview, of which the API server stores none if nothing has
	// changed.
	railsInterval = 10 * time.Minute
)

// Orphans are the namespaces that nobody owns and in which nothing is under way, of
// those that are old enough. It is pure: records are all that there are, and busy
// reports whether there is a release without a verdict in a namespace.
func Orphans(spaces []PreviewSpace, records []Preview, busy func(PreviewSpace) bool, now time.Time) []PreviewSpace {
	var orphans []PreviewSpace
	for _, s := range spaces {
		used := slices.ContainsFunc(records, func(p Preview) bool {
			return p.UID == s.Owner || p.There() && (p.Owns(s.Owner) || p.Namespace == s.Namespace)
		})
		if !s.Owned && !used && now.Sub(s.CreatedAt) >= spacePatience && !busy(s) {
			orphans = append(orphans, s)
		}
	}
	return orphans
}

// over reports whether nothing of p should run, and nothing is on its way to be gone.
func (p Preview) over() bool { return p.Phase == PreviewDestroyed || p.Phase == PreviewWaiting }

// Leftovers are the records of previews that are said to be gone, and whose namespace is
// there all the same, without another app of the group: it was made while the end was
// being written. It is pure.
func Leftovers(spaces []PreviewSpace, records []Preview, now time.Time) []Preview {
	return slices.DeleteFunc(slices.Clone(records), func(p Preview) bool {
		n := len(p.Destroys)
		over := p.over() && !p.DestroyedAt.IsZero() && now.Sub(p.DestroyedAt) >= spacePatience
		if !over || n > 0 && p.Destroys[n-1].Kept {
			return true
		}
		return !slices.ContainsFunc(spaces, func(s PreviewSpace) bool {
			return p.Owns(s.Owner) && s.EndingAt.IsZero() && !slices.ContainsFunc(records, func(other Preview) bool { return other.There() && other.Owns(s.Owner) })
		})
	})
}

// Hollow are the ends of previews whose namespace somebody has deleted: nothing of them
// runs, and they would take a place for ever. It is pure.
func Hollow(spaces []PreviewSpace, records []Preview, now time.Time) []End {
	var ends []End
	for _, p := range records {
		there := slices.ContainsFunc(spaces, func(s PreviewSpace) bool { return s.Namespace == p.Namespace })
		if p.Phase == PreviewActive && p.Namespace != "" && !there && now.Sub(p.CreatedAt) >= spacePatience {
			ends = append(ends, End{Preview: p, Reason: EndGone})
		}
	}
	return ends
}

// sweepSpaces is one look at all namespaces of previews: those that nobody owns go, and
// records without a namespace, or without an App for an hour, end.
func (a *Agent) sweepSpaces(ctx context.Context) error {
	// What is recorded and made while the list is read may be missing in either.
	records, asked := a.Records.Previews(), a.now()
	spaces, err := a.Spaces.PreviewSpaces(ctx)
	if news := a.memory.fails(swept{}, err != nil); err != nil && ctx.Err() == nil {
		if news {
			a.log.Warn("namespaces of previews cannot be listed: what nobody owns stays", "error", err)
		}
		return nil // it is looked at again, at its own pace
	}
	if err != nil {
		return err
	}
	var failures []error
	note := func(err error) {
		if err != nil {
			failures = append(failures, err)
		}
	}
	for _, e := range append(a.appless(records, asked), Hollow(spaces, records, asked)...) {
		note(a.end(ctx, e.Preview.Line, e))
	}
	note(a.forgetAppless(ctx, records, asked))
	for _, p := range Leftovers(spaces, records, asked) {
		note(a.resume(ctx, p))
	}
	orphans := Orphans(spaces, records, a.busy, asked)
	if a.Sweeps != nil {
		a.Sweeps.Swept(len(orphans))
	}
	for _, s := range orphans {
		note(a.deleteSpace(ctx, s))
	}
	for _, p := range records {
		if a.Rails != nil && p.Phase == PreviewActive && slices.ContainsFunc(spaces, func(s PreviewSpace) bool { return s.Namespace == p.Namespace && s.EndingAt.IsZero() }) &&
			a.memory.turnOfRails(p.Namespace, asked) {
			note(a.putUpRails(ctx, p))
		}
	}
	return errors.Join(failures...)
}

// Leaks reports whether the namespace of p should be gone, and is not, for longer than
// that may take.
func (p Preview) Leaks(now time.Time) bool {
	return p.Phase == PreviewDestroying && now.Sub(p.destroyingSince()) >= destroyPatience
}

// forgetAppless deletes the records of previews that have ended, and whose App is gone,
// once no older intent can come. Those of an App that is there go with every look at it.
func (a *Agent) forgetAppless(ctx context.Context, records []Preview, now time.Time) error {
	for _, p := range records {
		if _, found := a.app(p.Line.App); found || p.Phase != PreviewDestroyed || now.Sub(p.lastWord()) < destroyedFor {
			continue
		}
		if err := a.Previews.ForgetPreview(ctx, p); err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("forgetting preview %s: %w", p.Line, err)
		}
	}
	return nil
}

// appless are the ends of previews whose App has been gone for long.
func (a *Agent) appless(records []Preview, now time.Time) []End {
	gone := map[string]bool{}
	for _, p := range records {
		if _, found := a.app(p.Line.App); !found {
			gone[p.Line.App] = true
		}
	}
	since := a.memory.without(gone, now)
	var ends []End
	for _, p := range records {
		if at, is := since[p.Line.App]; is && p.Phase == PreviewActive && now.Sub(at) >= appPatience {
			ends = append(ends, End{Preview: p, Reason: EndGone})
		}
	}
	return ends
}

// busy reports whether something is under way in s, of the app that it was made for or
// of another one, which may be of its group.
func (a *Agent) busy(s PreviewSpace) bool {
	lines := []Line{s.Line}
	for _, app := range a.Apps.Apps() {
		lines = append(lines, Line{App: app.Name, Environment: s.Line.Environment})
	}
	return slices.ContainsFunc(lines, func(line Line) bool {
		return slices.ContainsFunc(a.Reader.Releases(line), func(r Release) bool { return r.Namespace == s.Namespace && !r.Status.Phase.Terminal() })
	})
}

// resume takes the end of p up again: a namespace of it is still there.
func (a *Agent) resume(ctx context.Context, p Preview) error {
	a.log.Warn("a preview that has ended has a namespace: it ends again", "environment", p.Line.Environment, "name", p.Line.App, "namespace", p.Namespace)
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(now *Preview) error {
		if now.over() && now.DestroyedAt.Equal(p.DestroyedAt) && now.Namespace != "" {
			now.Phase = PreviewDestroying
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("taking up the end of preview %s again: %w", p.Line, err)
	}
	a.lines.wake(p.Line, false)
	return nil
}

// deleteSpace asks for the end of a namespace that nobody owns.
func (a *Agent) deleteSpace(ctx context.Context, s PreviewSpace) error {
	if !s.EndingAt.IsZero() {
		return nil
	}
	err := a.Spaces.DeleteSpace(ctx, s)
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrConflict) { // it is looked at again
		a.log.Debug("namespace left alone", "namespace", s.Namespace, "environment", s.Line.Environment, "name", s.Line.App, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting namespace %s, which no preview owns: %w", s.Namespace, err)
	}
	a.log.Warn("namespace of a preview without a record is deleted", "namespace", s.Namespace, "environment", s.Line.Environment, "name", s.Line.App)
	return nil
}

func (a *Agent) putUpRails(ctx context.Context, p Preview) error {
	railsCtx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := a.Rails.PutUpRails(railsCtx, p); err != nil && ctx.Err() == nil {
		a.log.Warn("the guard rails of a preview cannot be put up", "environment", p.Line.Environment, "name", p.Line.App, "namespace", p.Namespace, "error", err)
		a.memory.forgetRails(p.Namespace) // it is tried at the next look
	}
	return ctx.Err()
}
