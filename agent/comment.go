package agent

import (
	"context"
	"fmt"
	"slices"
)

// uncommented are the pull requests of the target whose comment does not show what
// is durable.
func (a *Agent) uncommented(app App, to target) []int {
	var numbers []int
	a.eachRelease(app, func(r Release, v view) {
		if r.target(WayComment) == to && r.due(WayComment, v.Now) && !slices.Contains(numbers, r.Source.PullRequest) {
			numbers = append(numbers, r.Source.PullRequest)
		}
	})
	for _, p := range app.Previews {
		if r, is := p.hold(WayComment, a.now()); is && r.target(WayComment) == to && !slices.Contains(numbers, r.Source.PullRequest) {
			numbers = append(numbers, r.Source.PullRequest)
		}
		for _, d := range p.Destroys {
			if d.target(p, WayComment) == to && d.due(p, WayComment, a.now()) && !slices.Contains(numbers, d.Source.PullRequest) {
				numbers = append(numbers, d.Source.PullRequest)
			}
		}
	}
	return numbers
}

// eachRelease calls see with every kept release of app.
func (a *Agent) eachRelease(app App, see func(Release, view)) {
	for _, environment := range app.Environments {
		v := a.view(environment, a.reportable(Line{App: app.Name, Environment: environment.Name}))
		for _, r := range v.Releases {
			see(r, v)
		}
	}
}

// comment is the one comment of t on the pull request: how each environment stands
// to which its apps were deployed. All of it is made again from the kept releases
// each time, so that it does not matter what the last one said. headOf tells which
// head commit a release is of; empty for none. The releases are those of which it
// tells, as it tells of them.
func (a *Agent) comment(t thread, repository string, number int, headOf func(Release) string) (c Comment, told []Release) {
	c = Comment{Repository: repository, PullRequest: number, Marker: t.marker()}
	var rows []Standing
	for _, app := range t.apps {
		own, of := a.standings(app, &c, headOf)
		for i := range own {
			own[i].App = app.Name
		}
		rows, told = append(rows, own...), append(told, of...)
	}
	c.Body = t.body(rows)
	return c, told
}

// standings are the rows of app in c, which gets the id that is known of it.
func (a *Agent) standings(app App, c *Comment, headOf func(Release) string) (rows []Standing, told []Release) {
	repository, number := c.Repository, c.PullRequest
	a.eachRelease(app, func(r Release, v view) {
		if r.Source.Repository != repository || r.Source.PullRequest != number {
			return
		}
		told = append(told, r)
		if id := r.Status.Shown(WayComment).ID; id != 0 {
			c.ID = id
		}
		row := r.standing(v, r.checkPage(v))
		if r.Restore == 0 {
			row.Commit = orElse(headOf(r), row.Commit)
		}
		if p, is := app.preview(r.Line.Environment); is && app.PreviewPolicy != nil {
			row.ExpiresAt = p.expires(*app.PreviewPolicy)
		}
		if n := len(rows); n > 0 && rows[n-1].Environment == row.Environment {
			rows[n-1] = row // a newer one
			return
		}
		rows = append(rows, row)
	})
	for _, p := range app.Previews {
		if row, told := p.standing(repository, number); told {
			c.ID, rows = max(c.ID, p.Comment), append(rows, row)
		}
	}
	return rows, told
}

// showComment shows the comment of m's pull request, with the commits that GitHub has
// confirmed.
func (a *Agent) showComment(ctx context.Context, m *message) (int64, error) {
	app, found := a.app(m.line.App)
	if !found {
		return 0, fmt.Errorf("there is no App %q", m.line.App)
	}
	done, err := a.turnOf(ctx, app, m.repository)
	if err != nil {
		return 0, err
	}
	defer done()
	c, told := a.comment(a.thread(app), m.repository, m.pullRequest(), func(r Release) string {
		a.mu.Lock()
		defer a.mu.Unlock()
		if h := r.message(WayComment, view{}).claims(); r.Status.ReportedOn == "" && a.heads[h] {
			return h.commit
		}
		return r.Status.ReportedOn
	})
	// Each app of a group writes down of its own releases that they are told.
	m.told = slices.DeleteFunc(told, func(r Release) bool { return r.Line.App != app.Name })
	return a.Comments.ShowComment(ctx, c)
}

// checkPage is the web address of r's check run; empty as long as none is known.
func (r Release) checkPage(v view) string {
	id := r.Status.Shown(WayCheck).ID
	if id == 0 {
		return ""
	}
	return v.page(r.Source.Repository, fmt.Sprintf("runs/%d", id))
}

// reportComment has the comment of the pull request show what is durable, and
// writes down of every release that was news to it that it does.
func (a *Agent) reportComment(ctx context.Context, app App, to target, number int) error {
	var news []Release
	a.eachRelease(app, func(r Release, _ view) {
		if r.target(WayComment) == to && r.Source.PullRequest == number && r.unreported(WayComment) {
			news = append(news, r)
		}
	})
	gone, m := endedFor(app, to, number)
	held := a.heldFor(app, to, number)
	if len(news) > 0 {
		newest := slices.MaxFunc(news, func(x, y Release) int { return x.IssuedAt.Compare(y.IssuedAt) })
		m = newest.message(WayComment, view{})
	} else if m == nil {
		m = held.message(WayComment, view{})
	}
	if m.intent == "" {
		return nil
	}
	id, shown, err := a.show(ctx, m)
	if err != nil {
		return fmt.Errorf("commenting on pull request %d: %w", number, err)
	}
	if m.told == nil { // it was given up before there was any
		m.told = news
	}
	for _, r := range m.told { // which may have moved on since it was news
		if !r.unreported(WayComment) {
			continue
		}
		reported := r.shows(WayComment)
		reported.ID = id
		if err := a.recordReport(ctx, r, reported, shown); err != nil {
			return err
		}
	}
	if held.Parked {
		reported := held.shows(WayComment)
		reported.ID = id
		held.Status.ReportedOn = m.head
		if err := a.recordParked(ctx, held, reported, shown); err != nil {
			return err
		}
	}
	for _, p := range gone {
		if err := a.recordEnd(ctx, p, m, shown, id); err != nil {
			return err
		}
	}
	return nil
}
