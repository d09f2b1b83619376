// Seata's Spring scanner: it starts TM and RM, registers the TCC actions and wraps the beans that carry Seata's annotations.
package interop;

import org.apache.seata.spring.annotation.GlobalTransactionScanner;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

@Configuration
public class SeataScanner {
    @Bean
    public static GlobalTransactionScanner globalTransactionScanner() {
        return new GlobalTransactionScanner("interop", "default_tx_group");
    }
}
