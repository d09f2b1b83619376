// A TCC resource: prepare reserves, commit or rollback follows when the coordinator has decided.
import org.apache.seata.rm.tcc.api.BusinessActionContext;
import org.apache.seata.rm.tcc.api.BusinessActionContextParameter;
import org.apache.seata.rm.tcc.api.LocalTCC;
import org.apache.seata.rm.tcc.api.TwoPhaseBusinessAction;

@LocalTCC
public interface Stock {
    @TwoPhaseBusinessAction(name = "stock", commitMethod = "commit", rollbackMethod = "rollback")
    boolean reserve(BusinessActionContext context, @BusinessActionContextParameter(paramName = "count") int count);

    boolean commit(BusinessActionContext context);

    boolean rollback(BusinessActionContext context);

    class Shelf implements Stock {
        @Override
        public boolean reserve(
                BusinessActionContext context, @BusinessActionContextParameter(paramName = "count") int count) {
            System.out.println("  stock: " + count + " reserved");
            return true;
        }

        @Override
        public boolean commit(BusinessActionContext context) {
            System.out.println("  stock: " + context.getActionContext("count") + " taken from the shelf");
            return true;
        }

        @Override
        public boolean rollback(BusinessActionContext context) {
            System.out.println("  stock: " + context.getActionContext("count") + " back on the shelf");
            return true;
        }
    }
}
