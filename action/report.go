package action

import (
	"context"
	"errors"
	"fmt"
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

const (
	writeGap       = 3 * time.Second // between two writes of what is not the verdict; GitHub wants one at least
	partingTimeout = 5 * time.Second // for the last word of a cancelled job, which GitHub ends after 7.5 s
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

// write brings GitHub in step: at once for a verdict, else at most every writeGap.
// What fails is written with the next word, and changes nothing of the deploy.
func (w *waiting) write(ctx context.Context, final bool) {
	r := w.report
	if r == nil || !final && w.a.Now().Before(r.last.Add(writeGap)) {
		return
	}
	if r.check != nil && !r.noCheck {
		r.last = w.a.Now()
		w.writeCheck(ctx, *r.check, final)
	}
	if r.comment != nil && !r.noWord {
		r.last = w.a.Now()
		id, err := r.reporter.ShowComment(ctx, r.saidID, *r.comment)
		switch {
		case errors.Is(err, ErrMayNotWrite):
			r.noWord = true
			w.a.notice("the pull request's comment is not written: give the job `permissions: {pull-requests: write}`")
		case err != nil && final:
			w.a.github().Warningf("%s", fmt.Sprintf("the pull request's comment could not be written: %v", err))
		case err == nil:
			r.saidID, r.said, r.comment = id, r.comment.Body, nil
		}
	}
}

func (w *waiting) writeCheck(ctx context.Context, c receipt.Check, final bool) {
	r := w.report
	id, address, err := r.reporter.ShowCheck(ctx, r.checkID, c)
	switch {
	case errors.Is(err, ErrMayNotWrite):
		r.noCheck = true
		w.a.notice("the check run is not written: give the job `permissions: {checks: write}`")
	case err != nil && final:
		w.a.github().Warningf("%s", fmt.Sprintf("the check run could not be written: %v", err))
	case err == nil:
		r.checkID, r.written, r.check = id, c, nil
		if w.d.check.URL == "" {
			w.d.check.URL = webAddress(address)
		}
	}
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
