package agent

import "fmt"

// What is told of a preview that made room.
const (
	roomTitle = "Made room for another preview; comes back by itself when there is room, or with the next push"
	roomNext  = "nothing: it comes back by itself when there is room, or with the next push to the pull request"
)

// message is what p waits for, in one line for people.
func (h Hold) message(p Preview, limit int) string {
	switch {
	case p.Waiting.Evicted:
		return fmt.Sprintf("it made room for another preview: the app may have %d at the same time", limit)
	case h.Coming:
		return fmt.Sprintf("the app has all %d previews that it may have at the same time, and one of them is being taken away", limit)
	}
	return fmt.Sprintf("the app has all %d previews that it may have at the same time, and none can make room: they are kept by a label, or were used since this was pushed", limit)
}

// parkedNews says what a deploy waits for that has no place for its preview yet.
func (r Release) parkedNews() string {
	why := orElse(r.Status.Message, "the app has all previews that it may have at the same time")
	return fmt.Sprintf("Waiting for room for the preview %s of %s: %s.\n\n**Next:** nothing: it is deployed as soon as there is room, newest push first. To make some now, close a pull request that has a preview, or take the label off one that is kept.",
		code(r.Line.Environment), code(r.Line.App), plain(clip(why, maxMessage)))
}

// waitingRow is the row of a preview that waits for room.
func (p Preview) waitingRow() Standing {
	row := Standing{
		Environment: p.Line.Environment, Destroyed: true, State: "🕓 Waiting for room", Commit: orElse(p.Waiting.ReportedOn, p.Waiting.Release.deployed(nil)),
		Note: orElse(p.Message, "the app has all previews that it may have at the same time"),
		Next: "nothing: it is deployed as soon as there is room, newest push first",
	}
	if p.Waiting.Evicted {
		row.State, row.Note, row.Next = "💤 Made room for another preview", orElse(p.Message, EndRoom.words()), roomNext
	}
	return row
}
