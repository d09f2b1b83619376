// TM and TCC on seata-go against a coordinator, HOST:PORT as the argument. Prints a line for each check, "N passed, N failed" as the last one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seata/seata-go/pkg/client"
	"github.com/seata/seata-go/pkg/protocol/message"
	"github.com/seata/seata-go/pkg/remoting/getty"
	"github.com/seata/seata-go/pkg/rm/tcc"
	"github.com/seata/seata-go/pkg/tm"
)

const settings = `seata:
  enabled: true
  application-id: interop-go
  tx-service-group: default_tx_group
  service:
    vgroup-mapping:
      default_tx_group: default
    grouplist:
      default: %s
  registry:
    type: file
  client:
    tm:
      default-global-transaction-timeout: 60s
  getty:
    reconnect-interval: 0
    connection-num: 1
    session:
      tcp-no-delay: true
      tcp-r-buf-size: 262144
      tcp-w-buf-size: 65536
      tcp-read-timeout: 1s
      tcp-write-timeout: 5s
      wait-timeout: 1s
      max-msg-len: 16498688
      session-name: interop
      cron-period: 1s
`

const patience = 20 * time.Second

type checks struct {
	mutex          sync.Mutex
	passed, failed int
}

func (c *checks) equal(what string, actual, expected interface{}) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if fmt.Sprint(actual) == fmt.Sprint(expected) {
		c.passed++
		fmt.Printf("ok %s: %v\n", what, actual)
		return
	}
	c.failed++
	fmt.Printf("FAILED %s: %v, expected %v\n", what, actual, expected)
}

// The value may need some time.
func (c *checks) eventually(what string, read func() string, expected string) {
	end := time.Now().Add(patience)
	for read() != expected && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
	}
	c.equal(what, read(), expected)
}

type transfer struct {
	debit, credit *tcc.TCCServiceProxy
}

// Runs one transaction over both actions, and answers its XID.
func (t transfer) run(timeout time.Duration, amount int, work func(ctx context.Context) error) (string, error) {
	xid := ""
	config := &tm.GtxConfig{Name: "interop-go", Timeout: timeout}
	err := tm.WithGlobalTx(context.Background(), config, func(ctx context.Context) error {
		xid = tm.GetXID(ctx)
		fmt.Printf("begun %s\n", xid)
		if _, err := t.debit.Prepare(ctx, order{Amount: amount}); err != nil {
			return err
		}
		return work(ctx)
	})
	return xid, err
}

func (t transfer) both(amount int, refuse bool) (string, error) {
	return t.run(time.Minute, amount, func(ctx context.Context) error {
		_, err := t.credit.Prepare(ctx, order{Amount: amount, Refuse: refuse})
		return err
	})
}

func main() {
	folder, err := os.MkdirTemp("", "interop-go")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(folder, "seatago.yml")
	if err := os.WriteFile(path, []byte(fmt.Sprintf(settings, os.Args[1])), 0o600); err != nil {
		panic(err)
	}
	client.InitPath(path)
	_ = os.RemoveAll(folder)

	log := &callLog{calls: map[string][]string{}}
	t := transfer{debit: proxy("debit", log), credit: proxy("credit", log)}
	c := &checks{}
	byHand(c)
	committed(c, t, log)
	rolledBack(c, t, log)
	timedOut(c, t, log)
	atOnce(c, t, log)
	fmt.Printf("%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		os.Exit(1)
	}
}

func proxy(name string, log *callLog) *tcc.TCCServiceProxy {
	p, err := tcc.NewTCCServiceProxy(&action{name: name, log: log})
	if err != nil {
		panic(err)
	}
	return p
}

// Begins, asks and ends transactions without a branch, by the messages themselves.
func byHand(c *checks) {
	manager := tm.GetGlobalTransactionManager()
	for _, end := range []struct {
		what   string
		do     func(context.Context, *tm.GlobalTransaction) error
		status message.GlobalStatus
	}{
		{"commit", manager.Commit, message.GlobalStatusCommitted},
		{"rollback", manager.Rollback, message.GlobalStatusRollbacked},
	} {
		ctx := tm.InitSeataContext(context.Background())
		tm.SetTxName(ctx, "interop-go by hand")
		c.equal("tm: begin", manager.Begin(ctx, time.Minute), nil)
		gtx := &tm.GlobalTransaction{Xid: tm.GetXID(ctx), TxRole: tm.Launcher}
		c.equal("tm: status after begin", statusOf(gtx.Xid), message.GlobalStatusBegin)
		c.equal("tm: "+end.what, end.do(ctx, gtx), nil)
		c.equal("tm: status that it tells", gtx.TxStatus, end.status)
		c.equal("tm: status after it", statusOf(gtx.Xid), end.status)
	}
}

// seata-go has the message, and nothing that sends it.
func statusOf(xid string) interface{} {
	request := message.GlobalStatusRequest{AbstractGlobalEndRequest: message.AbstractGlobalEndRequest{Xid: xid}}
	answer, err := getty.GetGettyRemotingClient().SendSyncRequest(request)
	if err != nil {
		return err
	}
	return answer.(message.GlobalStatusResponse).GlobalStatus
}

func committed(c *checks, t transfer, log *callLog) {
	xid, err := t.both(7, false)
	c.equal("tcc: commit", err, nil)
	c.eventually("order: calls of the commit", func() string { return log.of(xid) },
		"[debit prepare 7 credit prepare 7 debit commit 7 credit commit 7]")
}

func rolledBack(c *checks, t transfer, log *callLog) {
	xid, err := t.both(9, true)
	c.equal("tcc: the refusal comes back", err != nil, true)
	c.eventually("order: calls of the rollback", func() string { return log.of(xid) },
		"[debit prepare 9 credit prepare 9 credit rollback 9 debit rollback 9]")
}

func timedOut(c *checks, t transfer, log *callLog) {
	xid, _ := t.run(time.Second, 3, func(context.Context) error {
		time.Sleep(1500 * time.Millisecond)
		return errors.New("too late")
	})
	c.eventually("timeout: calls of the timeout", func() string { return log.of(xid) }, "[debit prepare 3 debit rollback 3]")
}

// Several transactions over the one connection that carries requests and answers of both sides. No more than what may come to them together, a frame
// of some 400 bytes each, fits into one read of 4 KiB: seata-go 1.2.0 stands still for ever when a read ends within the first bytes of a header.
func atOnce(c *checks, t transfer, log *callLog) {
	const n = 8
	var group sync.WaitGroup
	wrong := make(chan string, n)
	for i := 0; i < n; i++ {
		group.Add(1)
		go func(amount int) {
			defer group.Done()
			xid, err := t.both(amount, amount%4 == 0)
			verb, order := "commit", []string{"debit", "credit"}
			if amount%4 == 0 {
				verb, order = "rollback", []string{"credit", "debit"}
			} else if err != nil {
				wrong <- err.Error()
			}
			expected := fmt.Sprintf("[debit prepare %d credit prepare %d %s %s %d %s %s %d]",
				amount, amount, order[0], verb, amount, order[1], verb, amount)
			end := time.Now().Add(patience)
			for log.of(xid) != expected && time.Now().Before(end) {
				time.Sleep(50 * time.Millisecond)
			}
			if log.of(xid) != expected {
				wrong <- log.of(xid) + ", expected " + expected
			}
		}(100 + i)
	}
	group.Wait()
	close(wrong)
	all := []string{}
	for w := range wrong {
		all = append(all, w)
	}
	c.equal(fmt.Sprintf("parallel: wrong among %d at once", n), all, []string{})
}
