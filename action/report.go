package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inhaul/inhaul/receipt"
)

// Reporter writes to GitHub with the workflow's token.
type Reporter interface {
	// ShowCheck makes the check run look like c, creating it only if there is none,
	// and returns its id and address. ErrMayNotWrite says that asking again is
	// useless.
	ShowCheck(ctx context.Context, id int64, c receipt.Check) (shown int64, address string, err error)
	// ShowComment makes the comment with c.Marker look like c, creating it only if
	// there is none, and returns its id. ErrMayNotWrite as above.
	ShowComment(ctx context.Context, id int64, c receipt.Comment) (int64, error)
}

// ErrMayNotWrite says that the workflow's token lacks a permission.
var ErrMayNotWrite = errors.New("the workflow's token may not write that")

// ErrReadOnly says that nobody may write there, whatever the token.
var ErrReadOnly = errors.New("GitHub takes nothing there")

// LaterError says that GitHub takes no write before After has passed.
type LaterError struct {
	After time.Duration
	Cause error
}

func (e *LaterError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *LaterError) Unwrap() error { return e.Cause }

const (
	writeGap       = 3 * time.Second  // between two writes of what is not the verdict; GitHub wants one at least
	finalGap       = 10 * time.Second // before the verdict is tried again; each try has tries of its own
	finalPatience  = time.Minute      // for the verdict to be written
	partingTimeout = 5 * time.Second  // for the last word of a cancelled job, which GitHub ends after 7.5 s
)

// report is what this run writes itself because the agent does not.
type report struct {
	reporter Reporter
	check    *receipt.Check   // still to be written; nil: as it is
	comment  *receipt.Comment // still to be written; nil: as it is, or none
	written  receipt.Check    // as it is
	said     string           // the comment as it is
	checkID  int64
	saidID   int64
	noCheck  bool // the token may not
	noWord   bool // the token may not
	last     time.Time
	failed   error // why the last write failed; nil: it did not
}

// plan has what r says written to GitHub.
func (w *waiting) plan(r receipt.Receipt) {
	if w.report == nil {
		reporter, err := w.a.Reporter(w.d.inputs.Token)
		if err != nil {
			w.a.notice("the check run and the comment are not written: " + err.Error())
			reporter = nil
		}
		w.report = &report{reporter: reporter, noCheck: err != nil, noWord: err != nil}
	}
	p := r.Predicate()
	check := w.d.ours(p.Check)
	w.report.check = &check
	if c := p.Comment; c != nil && w.d.owns(*c) && c.Body != w.report.said {
		w.report.comment = c
	}
}

// owns reports whether a receipt's comment is one that this run may write: the
// app's own, on its own pull request. Other comments of the same token are none of
// the agent's business.
func (d *deploy) owns(c receipt.Comment) bool {
	return c.Repository == d.source.Repository && c.PullRequest == d.source.PullRequest && c.Marker == "<!-- inhaul: preview "+d.app.Name+" -->"
}

// conclude writes the verdict, for which it tries for finalPatience: nobody writes
// after it.
func (w *waiting) conclude(ctx context.Context) {
	r, until := w.report, w.a.Now().Add(finalPatience)
	for {
		w.write(ctx, true)
		if r == nil || r.failed == nil {
			return
		}
		gap := finalGap
		if later, ok := errors.AsType[*LaterError](r.failed); ok {
			gap = max(gap, later.After)
		}
		if w.a.Now().Add(gap).After(until) || w.a.Sleep(ctx, gap) != nil {
			break
		}
	}
	if r.comment != nil && !r.noWord {
		w.a.github().Warningf("%s", fmt.Sprintf("the pull request's comment could not be written: %v", r.failed))
	}
	if r.check != nil && !r.noCheck {
		w.a.github().Warningf("%s", fmt.Sprintf("the check on the commit is out of date, because it could not be written: %v", r.failed))
		w.d.check.Summary = strings.TrimSpace(w.d.check.Summary + "\n\n**The check on the commit is out of date:** GitHub did not take the verdict. A re-run of the workflow writes it anew.")
	}
}

// write brings GitHub in step: at once for a verdict, else at most every writeGap.
// What fails is written with the next word, and changes nothing of the deploy.
func (w *waiting) write(ctx context.Context, final bool) {
	r := w.report
	if r == nil || !final && w.a.Now().Before(r.last.Add(writeGap)) {
		return
	}
	r.failed = nil
	if r.check != nil && !r.noCheck {
		r.last = w.a.Now()
		r.noCheck = w.refused(w.writeCheck(ctx, *r.check), "the check run", "checks")
	}
	if r.comment != nil && !r.noWord {
		r.last = w.a.Now()
		r.noWord = w.refused(w.writeComment(ctx, *r.comment), "the pull request's comment", "pull-requests")
	}
}

// refused reports whether err says that another try is useless, and tells it once.
func (w *waiting) refused(err error, what, permission string) bool {
	switch {
	case errors.Is(err, ErrMayNotWrite):
		w.a.notice(what + " is not written: give the job `permissions: {" + permission + ": write}`")
		return true
	case errors.Is(err, ErrReadOnly):
		w.a.notice(what + " is not written: " + err.Error())
		return true
	case err != nil:
		w.report.failed = err
	}
	return false
}

func (w *waiting) writeCheck(ctx context.Context, c receipt.Check) error {
	r := w.report
	id, address, err := r.reporter.ShowCheck(ctx, r.checkID, c)
	if err != nil {
		return err
	}
	r.checkID, r.written, r.check = id, c, nil
	if w.d.check.URL == "" {
		w.d.check.URL = webAddress(address)
	}
	return nil
}

func (w *waiting) writeComment(ctx context.Context, c receipt.Comment) error {
	r := w.report
	id, err := r.reporter.ShowComment(ctx, r.saidID, c)
	if err == nil {
		r.saidID, r.said, r.comment = id, c.Body, nil
	}
	return err
}

// abandon ends a check run that this run has begun and will not follow any more:
// it would be in progress for ever.
func (w *waiting) abandon(ctx context.Context) {
	if w.report == nil || w.report.checkID == 0 || w.report.written.Status == "completed" {
		return
	}
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTimeout)
	defer cancel()
	c := w.report.written
	c.Status, c.Conclusion, c.CompletedAt = "completed", "timed_out", w.a.Now().UTC()
	stopped := "after " + w.a.Now().Sub(w.start).Round(time.Second).String()
	if ctx.Err() != nil {
		c.Conclusion, stopped = "cancelled", "because it was cancelled"
	}
	c.Title = "The workflow stopped waiting " + stopped + " · " + c.Title
	c.Summary = "**The rollout goes on; the agent has the last word.** The workflow stopped waiting for it " + stopped +
		", and this check is not updated any more. `kubectl get releases` shows how it ends; a re-run of the workflow, or a longer `timeout`, waits for it.\n\n" + c.Summary
	if _, _, err := w.report.reporter.ShowCheck(parting, w.report.checkID, c); err != nil {
		w.a.github().Warningf("%s", fmt.Sprintf("the check run could not be ended: %v", err))
	}
}
