package intent

import (
	"fmt"
	"regexp"
	"strconv"
)

// previousTarget is the word for what ran before.
const previousTarget = "previous"

// The other words that name a rollback's target. A commit has at least as many
// digits as git shows, so no word is both.
var (
	numberShape = regexp.MustCompile(`\A[0-9]{1,6}\z`)
	prefixShape = regexp.MustCompile(`\A[0-9a-f]{7,40}\z`)
)

// RollBackTo makes p a rollback to what text names: "previous", a release number
// or the beginning of a commit. After an error p is as it was.
func (p *Predicate) RollBackTo(text string) error {
	back := *p
	back.Kind, back.RollbackTo, back.RollbackToCommit, back.RollbackToPrevious = Rollback, 0, "", false
	number, _ := strconv.Atoi(text) // 0 is refused below
	switch {
	case text == previousTarget:
		back.RollbackToPrevious = true
	case numberShape.MatchString(text) && number > 0:
		back.RollbackTo = number
	case prefixShape.MatchString(text):
		back.RollbackToCommit = text
	default:
		return fmt.Errorf("rollback target: got %q, want %s, a release number from 1 to 999999, or 7 to 40 lower-case hex digits of a commit", text, previousTarget)
	}
	*p = back
	return nil
}

// targets counts how many releases p names to go back to, and reports whether
// each is named as it has to be.
func (p Predicate) targets() (named int, proper bool) {
	proper = p.RollbackTo >= 0 && (p.RollbackToCommit == "" || prefixShape.MatchString(p.RollbackToCommit))
	for _, is := range []bool{p.RollbackTo != 0, p.RollbackToCommit != "", p.RollbackToPrevious} {
		if is {
			named++
		}
	}
	return named, proper
}
