package github

import (
	"context"
	"errors"
)

// errAlreadyCreated says that a try whose answer was lost had succeeded.
var errAlreadyCreated = errors.New("it was created by a try whose answer was lost")

// madeJSON is what all answers to a creation have.
type madeJSON struct {
	ID int64 `json:"id"`
}

// proof is an error if m, the answer to a write, is not what was asked for: whatever stands between a client and GitHub
// may say 200 as well, and what was never written must not count as shown.
func (m madeJSON) proof(kind string) error {
	if m.ID == 0 {
		return errors.New("the answer is no " + kind)
	}
	return nil
}

// create sends cl, which creates something of that kind, and returns its id. After a lost answer find looks for it (0:
// not there) before another try; earlier reports whether it was there then.
func (c *Client) create(ctx context.Context, cl call, kind string, find func(context.Context) (int64, error)) (id int64, earlier bool, err error) {
	cl.recheck = func(ctx context.Context) error {
		found, err := find(ctx)
		if err != nil || found == 0 {
			return err
		}
		id = found
		return errAlreadyCreated
	}
	var created madeJSON
	err = c.do(ctx, cl, &created)
	if errors.Is(err, errAlreadyCreated) {
		return id, true, nil
	}
	if err == nil {
		err = created.proof(kind)
	}
	return created.ID, false, err
}
