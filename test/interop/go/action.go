// The two TCC resources: they note what they are asked, and can be told to refuse a prepare.
package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/seata/seata-go/pkg/tm"
)

// What the actions were asked, in order, by transaction.
type callLog struct {
	mutex sync.Mutex
	calls map[string][]string
}

func (l *callLog) add(xid, call string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.calls[xid] = append(l.calls[xid], call)
}

func (l *callLog) of(xid string) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return fmt.Sprint(l.calls[xid])
}

type order struct {
	Amount int `tccParam:"amount"`
	Refuse bool
}

type action struct {
	name string
	log  *callLog
}

func (a *action) Prepare(ctx context.Context, params interface{}) (bool, error) {
	o := params.(order)
	a.log.add(tm.GetXID(ctx), fmt.Sprintf("%s prepare %d", a.name, o.Amount))
	if o.Refuse {
		return false, fmt.Errorf("%s refuses", a.name)
	}
	return true, nil
}

func (a *action) Commit(ctx context.Context, c *tm.BusinessActionContext) (bool, error) {
	a.log.add(c.Xid, fmt.Sprintf("%s commit %v", a.name, c.ActionContext["amount"]))
	return true, nil
}

func (a *action) Rollback(ctx context.Context, c *tm.BusinessActionContext) (bool, error) {
	a.log.add(c.Xid, fmt.Sprintf("%s rollback %v", a.name, c.ActionContext["amount"]))
	return true, nil
}

func (a *action) GetActionName() string {
	return "interop-go-" + a.name
}
