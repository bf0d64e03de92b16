package agent

import (
	"context"
	"errors"
	"fmt"
)

// say has the way show m, and returns what finds it again.
func (a *Agent) say(ctx context.Context, m message) (int64, error) {
	switch m.way {
	case WayCheck:
		check := m.check
		check.ID, check.Commit = m.id, m.commit
		return a.Checks.Show(ctx, check)
	case WayReceipt:
		return a.sayReceipt(ctx, m)
	case WayStatus, WayDeployment, WayComment:
	}
	return 0, fmt.Errorf("there is no way %q", m.way)
}

// maxReceipts is how many numbers of receipts are tried at a time. Each but the
// first was taken by an agent that died before it wrote that down.
const maxReceipts = 16

// sayReceipt publishes m under the first number that is free, or has it already.
func (a *Agent) sayReceipt(ctx context.Context, m message) (int64, error) {
	app, found := a.app(m.line.App)
	if !found {
		return 0, fmt.Errorf("there is no App %q", m.line.App)
	}
	check := m.check
	check.Commit = m.commit
	r := Receipt{
		Intents: app.Intents, Intent: m.intent, Final: check.Status == Completed, Line: m.line,
		Check: check, Marker: m.marker, Reported: a.Checks != nil || a.Statuses != nil, At: m.at,
	}
	for number := m.id + 1; ; number++ {
		r.Number = int(number)
		err := a.Receipts.PublishReceipt(ctx, r)
		if !errors.Is(err, ErrExists) || number >= m.id+maxReceipts {
			return number, err
		}
	}
}
